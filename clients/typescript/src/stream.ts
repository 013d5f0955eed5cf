/**
 * Following one order over its stream, by the rules of the store contract's client hook (section 4.5).
 *
 * A message is the whole order. One that is no JSON is an error for the caller and the stream stays open; JSON that is no
 * order is dropped. A lost connection is opened again after 1, 2, 4, 8, 16, then always 30 s, and only a valid order sets
 * the wait back, so that a server which accepts connections and says nothing useful is not called in a tight loop. `stop`
 * ends it for ever. At most one source is open.
 *
 * It never polls and never decides that an order is over: the server says so. Pages, the hooks and Node programs call it.
 * It is small because pages load it: below 2 KiB, which `npm run sizes` checks.
 */
import { safeParse } from 'valibot';

import { pathSegment } from './path.js';
import type { Order } from './schema/order.js';
import { orderSchema } from './schema/order.js';
import { tell } from './tell.js';

/** A message was no JSON and the stream goes on, or the subscription cannot be made at all. */
export interface StreamError {
  readonly kind: 'malformed' | 'setup';
  readonly message: string;
}

/** What is used of an event. */
export interface SourceEvent {
  readonly data?: unknown;
}

/** What is used of an `EventSource`. */
export interface EventSourceLike {
  addEventListener(type: string, listener: (event: SourceEvent) => void): void;
  close(): void;
}

export interface StreamOptions {
  /** What the path `/api/orders/<id>/subscribe` is put behind; nothing if absent, which is the page's own origin. */
  readonly baseUrl?: string | undefined;
  /** The whole address, instead of one made of `baseUrl` and the id. */
  readonly url?: string | undefined;
  /** Adds up to this share of a wait to it, 0 to 1, so that many pages do not come back at once; 0 if absent. */
  readonly jitter?: number | undefined;
  /** Instead of the global one. */
  readonly eventSource?: (new (url: string) => EventSourceLike) | undefined;
  /** Reads the stream with this instead of an `EventSource`. */
  readonly fetch?: typeof fetch | undefined;
}

export interface SubscribeOptions extends StreamOptions {
  /** Gets each valid order as it is then. The same state may come twice, once for each connection. */
  readonly onOrder: (order: Order) => void;
  readonly onError?: ((error: StreamError) => void) | undefined;
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

/** Follows an order until the server says stop, or until the function that it returns is called. Null: does nothing. */
export function subscribeToOrder(id: string | null | undefined, options: SubscribeOptions): () => void {
  const { onOrder, onError, signal, baseUrl = '', jitter = 0, eventSource, fetch } = options;
  let waitMs = FIRST_WAIT_MS;
  let live = true;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let source: EventSourceLike | undefined;

  const close = () => {
    source?.close();
    source = undefined;
  };
  const stop = () => {
    live = false;
    clearTimeout(timer);
    close();
    signal?.removeEventListener('abort', stop);
  };
  const lost = () => {
    close();
    if (!live) return;
    timer = setTimeout(() => {
      waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
      connect();
    }, waitMs * (1 + (jitter > 0 ? Math.min(jitter, 1) * Math.random() : 0)));
  };
  const receive = ({ data }: SourceEvent) => {
    const read = readMessage(data);
    if (read === 'dropped') return;
    if (read === 'malformed') {
      return tell(onError, { kind: 'malformed', message: 'the store sent a message that is not JSON; the stream goes on' });
    }
    waitMs = FIRST_WAIT_MS;
    tell(onOrder, read);
  };
  const refuse = () => {
    stop();
    tell(onError, { kind: 'setup', message: 'nothing was sent: the order id or the URL of the stream cannot be used' });
  };
  // Not at once: a caller that stops in its `onError` has nothing to call before this function has returned.
  const refuseSoon = () => {
    timer = setTimeout(refuse);
  };
  const open = (create: () => EventSourceLike) => {
    if (!live) return;
    let opened: EventSourceLike;
    try {
      opened = source = create();
    } catch {
      return refuseSoon();
    }
    // An event that was on its way when its source was closed belongs to nobody any more.
    const on = (type: string, act: (event: SourceEvent) => void) =>
      opened.addEventListener(type, (event) => source === opened && act(event));
    on('message', receive);
    on('stop', stop);
    on('error', lost);
  };
  const connect = () => {
    const Source = eventSource ?? (fetch ? undefined : globalThis.EventSource);
    if (Source) open(() => new Source(url));
    else import('./fetch-source.js').then(({ FetchSource }) => open(() => new FetchSource(url, fetch)), lost);
  };

  if (id == null || signal?.aborted) return stop;
  const segment = pathSegment(id);
  const url = options.url ?? `${baseUrl.replace(/\/+$/, '')}/api/orders/${segment}/subscribe`;
  signal?.addEventListener('abort', stop);
  if (options.url ?? segment) connect();
  else refuseSoon();
  return stop;
}

function readMessage(data: unknown): Order | 'malformed' | 'dropped' {
  let json: unknown;
  try {
    json = JSON.parse(data as string);
  } catch {
    // The reason goes no further: it quotes the data, which may hold a code.
    return 'malformed';
  }
  const read = safeParse(orderSchema, json);
  return read.success ? read.output : 'dropped';
}
