/**
 * Bytes in, server-sent events out: an incremental parser of `text/event-stream`.
 *
 * It knows the stream format of the HTML standard and nothing about orders, sockets or reconnecting. It takes any cut of
 * the bytes, also inside a character or between CR and LF, and never holds more than `MAX_EVENT_CHARS` of an event that
 * is not complete. `FetchSource` feeds it; browsers have their own.
 */

/** The most characters one event may have, its current line included: 1 Mi. An order with ten lines has a hundredth. */
export const MAX_EVENT_CHARS = 1_048_576;

export interface ServerEvent {
  /** The `event` field, or `message`. */
  readonly name: string;
  /** The `data` lines, joined by LF. */
  readonly data: string;
}

export class EventParser {
  /** Decodes across cuts, and drops a byte order mark at the beginning. */
  readonly #decoder = new TextDecoder();
  /** The line that has not ended yet. */
  #line = '';
  #name = '';
  /** Undefined until the event has a data line. */
  #data: string | undefined;
  /** The last character was CR: an LF that follows belongs to it. */
  #afterCarriageReturn = false;
  #broken = false;

  /** An event was too large: nothing after it can be read, and the connection is of no more use. */
  get broken(): boolean {
    return this.#broken;
  }

  /** How much is held of an event that is not complete. */
  get heldChars(): number {
    return this.#line.length + this.#name.length + (this.#data?.length ?? 0);
  }

  /** Takes the next bytes and gives the events that they complete. */
  feed(bytes: Uint8Array): ServerEvent[] {
    const events: ServerEvent[] = [];
    if (this.#broken) return events;
    const text = this.#decoder.decode(bytes, { stream: true });
    const lineEnd = /[\r\n]/g;
    let from = 0;
    while (from < text.length) {
      if (this.#afterCarriageReturn) {
        this.#afterCarriageReturn = false;
        if (text[from] === '\n') {
          from += 1;
          continue;
        }
      }
      lineEnd.lastIndex = from;
      const end = lineEnd.exec(text)?.index ?? text.length;
      if (this.heldChars + end - from > MAX_EVENT_CHARS) {
        this.#giveUp();
        break;
      }
      this.#line += text.slice(from, end);
      if (end < text.length) {
        this.#afterCarriageReturn = text[end] === '\r';
        this.#endLine(events);
      }
      from = end + 1;
    }
    return events;
  }

  #giveUp(): void {
    this.#broken = true;
    this.#line = '';
    this.#name = '';
    this.#data = undefined;
  }

  #endLine(events: ServerEvent[]): void {
    const line = this.#line;
    this.#line = '';
    if (line === '') {
      if (this.#data !== undefined) events.push({ name: this.#name || 'message', data: this.#data });
      this.#name = '';
      this.#data = undefined;
      return;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#name = value;
    if (field === 'data') this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
    // A comment has no field name. `id` and `retry` are not relied on by the contract: the waits are fixed.
  }
}
