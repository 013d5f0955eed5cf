/**
 * The part of `EventSource` that following an order needs, for runtimes that have none: a stream read with `fetch`.
 *
 * One connection and no other: it never reconnects by itself. Whatever ends it, be it a refusal, a redirect, a page
 * instead of a stream, silence or an endless event, is one `error`, after which it is closed. `subscribeToOrder` loads
 * this module only where it has to, so that pages do not carry it.
 */
import { EventParser } from './event-parser.js';
import type { EventSourceLike, SourceEvent } from './stream.js';

/** The longest time without a byte. Our server sends a heartbeat every 15 s, so this is four of them lost. */
export const SILENCE_MS = 60_000;

type Listener = (event: SourceEvent) => void;

export class FetchSource implements EventSourceLike {
  readonly #controller = new AbortController();
  readonly #listeners: { readonly type: string; readonly listener: Listener }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /** Throws where the URL cannot be one, as `EventSource` does. */
  constructor(url: string, send: typeof fetch = globalThis.fetch) {
    const absolute = new URL(url, typeof location === 'undefined' ? undefined : location.href);
    void this.#run(absolute.href, send);
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.push({ type, listener });
  }

  /** No event comes after it, also none that has been read already. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  async #run(url: string, send: typeof fetch): Promise<void> {
    try {
      // Nobody listens before the constructor has returned, and what throws at once must be heard too.
      await undefined;
      if (this.#closed) return;
      this.#listenForSilence();
      const response = await send(url, {
        headers: { accept: 'text/event-stream' },
        cache: 'no-store',
        redirect: 'manual',
        signal: this.#controller.signal,
      });
      if (response.status === 200 && isEventStream(response)) await this.#read(response.body?.getReader());
    } catch {
      // The reason may name the address, and all reasons mean the same here.
    }
    this.#fail();
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<void> {
    const parser = new EventParser();
    while (reader !== undefined && !this.#closed && !parser.broken) {
      this.#listenForSilence();
      const { done, value } = await reader.read();
      if (done) return;
      for (const { name, data } of parser.feed(value)) this.#dispatch(name, { data });
    }
  }

  #listenForSilence(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fail(), SILENCE_MS);
  }

  #fail(): void {
    if (this.#closed) return;
    this.#dispatch('error', {});
    this.close();
  }

  #dispatch(type: string, event: SourceEvent): void {
    for (const entry of this.#listeners) {
      if (entry.type === type && !this.#closed) entry.listener(event);
    }
  }
}

function isEventStream(response: Response): boolean {
  const essence = (response.headers.get('content-type') ?? '').split(';', 1)[0];
  return essence?.trim().toLowerCase() === 'text/event-stream';
}
