/** Answers of a store, as the contract describes them, and the doubles that the tests share. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { RequestListener, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { onTestFinished } from 'vitest';

import type { EventSourceLike, SourceEvent } from '../src/stream.js';

export const ORDER_ID = '3c0d9a52-6e41-4b7f-8a1d-5f2e7b90c411';

/** The order with what every order has, and nothing else. */
export function orderBody(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    order_id: ORDER_ID,
    order_state: 'WaitingForPayment',
    payment_state: 'WalletCreated',
    created_at: '1790000000',
    coin: 'USDC',
    network: 'Base',
    coin_amount: '25.38',
    original_price: '25.38',
    sent_coin_amount: '0',
    payment_via: 'USER_WALLET',
    payment_method: 'USDC-BASE',
    payment_method_protocol: 'ETHEREUM_LIKE',
    payment_id: '74e2c1b9-0d5f-4a68-b3c7-92f80e1d6a33',
    payment_value: 21.5,
    is_payment_processor_external: false,
    user: { email: 'end.user@example.com' },
    deliveries: [],
    ...changes,
  };
}

export function orderText(changes: Record<string, unknown> = {}): string {
  return JSON.stringify(orderBody(changes));
}

export function message(changes: Record<string, unknown> = {}): string {
  return `data: ${orderText(changes)}\n\n`;
}

export const STOP = 'event: stop\ndata: {}\n\n';

/** A server on the loopback, gone when the test is. Gives its base URL. */
export async function loopback(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An address where nobody listens any more. */
export async function deserted(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

/** Writes the piece so many times, no faster than it is read and only while somebody reads. Leaves the answer open. */
export async function pour(response: ServerResponse, piece: Buffer, times: number): Promise<void> {
  const closed = once(response, 'close');
  for (let sent = 0; sent < times && !response.destroyed; sent += 1) {
    if (response.write(piece)) continue;
    const drained = new AbortController();
    await Promise.race([once(response, 'drain', { signal: drained.signal }).catch(() => undefined), closed]);
    drained.abort();
  }
}

/** A promise and the function that fulfils it. */
export function signpost<T = void>(): { readonly reached: Promise<T>; readonly reach: (value: T) => void } {
  let reach!: (value: T) => void;
  const reached = new Promise<T>((resolve) => {
    reach = resolve;
  });
  return { reached, reach };
}

/** An `EventSource` whose events come from the test. `FakeSource.all` holds every one since `reset`. */
export class FakeSource implements EventSourceLike {
  static all: FakeSource[] = [];
  static mostOpen = 0;

  static reset(): void {
    FakeSource.all = [];
    FakeSource.mostOpen = 0;
  }

  static get open(): FakeSource[] {
    return FakeSource.all.filter((source) => !source.closed);
  }

  static get last(): FakeSource {
    const last = FakeSource.all.at(-1);
    if (last === undefined) throw new Error('no source was made');
    return last;
  }

  readonly url: string;
  closed = false;
  readonly #listeners: [string, (event: SourceEvent) => void][] = [];

  constructor(url: string) {
    this.url = url;
    FakeSource.all.push(this);
    FakeSource.mostOpen = Math.max(FakeSource.mostOpen, FakeSource.open.length);
  }

  addEventListener(type: string, listener: (event: SourceEvent) => void): void {
    this.#listeners.push([type, listener]);
  }

  close(): void {
    this.closed = true;
  }

  /** Delivers also when closed, like an event that was queued before. */
  emit(type: string, data?: string): void {
    for (const [wanted, listener] of this.#listeners) {
      if (wanted === type) listener({ data });
    }
  }
}
