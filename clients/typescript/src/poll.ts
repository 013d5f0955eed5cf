/**
 * Following one order by asking again and again, for callers that cannot hold a stream (store contract, section 3.10).
 *
 * Every 5 to 10 s until it is paid, then slower until it is over. There is never more than one call at a time, and a wait
 * begins when the answer is there. Who can hold a stream uses `subscribeToOrder`: it is faster and costs the store less.
 */
import type { Client } from './client.js';
import type { ClientError } from './errors.js';
import type { Order } from './schema/order.js';
import { tell } from './tell.js';

export interface PollOptions {
  /** Gets each answer, also one that says nothing new. */
  readonly onOrder: (order: Order) => void;
  /** Gets each failure. After one that `isLasting`, polling has ended; after the others it goes on. */
  readonly onError?: ((error: ClientError) => void) | undefined;
  /** Ends the polling when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** The wait before the payment, 5,000 to 10,000 ms; 5,000 if absent. */
  readonly untilPaidMs?: number | undefined;
  /** The wait after the payment, at most ten minutes; 30,000 ms if absent. */
  readonly untilDoneMs?: number | undefined;
}

const SHORTEST_MS = 5_000;
const LONGEST_UNPAID_MS = 10_000;
const LONGEST_PAID_MS = 600_000;
const LONGEST_BACKOFF_MS = 60_000;
/** A store that asks for more is taken to have made a mistake: nobody waits a day for an order. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;

/** Two known clients spell the state `Cancelled`; so might a store. */
const OVER: readonly string[] = ['Done', 'Expired', 'Canceled', 'Cancelled', 'PaymentFailed', 'PaymentSetupFailed', 'Refunded'];
const PAID: readonly string[] = ['PaymentReceived', 'WaitingForDelivery', 'WaitingForManualAction'];

/** Whether the contract's section 4.1 marks the state as an end. A late payment can still move an `Expired` order on. */
export function isOver(order: Order): boolean {
  return OVER.includes(order.order_state);
}

/** Whether the payment is confirmed, and with it what is left is delivery. */
export function isPaid(order: Order): boolean {
  return order.payment_state === 'PaymentReceived' || PAID.includes(order.order_state);
}

/** Whether the same call would fail again: the id is unknown, or the call is wrong. */
export function isLasting(error: ClientError): boolean {
  if (error.kind !== 'refused' && error.kind !== 'status') return error.kind === 'setup';
  return error.status >= 400 && error.status < 500 && ![408, 425, 429].includes(error.status);
}

/** Asks at once, then again and again until the order is over. Returns the function that ends it. */
export function pollOrder(client: Pick<Client, 'order'>, id: string, options: PollOptions): () => void {
  const { onOrder, onError, signal } = options;
  const untilPaidMs = bounded(options.untilPaidMs, SHORTEST_MS, LONGEST_UNPAID_MS, SHORTEST_MS);
  const untilDoneMs = bounded(options.untilDoneMs, SHORTEST_MS, LONGEST_PAID_MS, 30_000);
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let usualMs = untilPaidMs;
  let failures = 0;

  const stop = () => {
    controller.abort();
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  };
  /** Ends it, or gives the wait before the next call. */
  const judge = (result: Awaited<ReturnType<Client['order']>>): number | 'ended' => {
    if (result.ok) {
      failures = 0;
      usualMs = isPaid(result.value) ? untilDoneMs : untilPaidMs;
      return isOver(result.value) ? 'ended' : usualMs;
    }
    failures += 1;
    return isLasting(result.error) ? 'ended' : failedWaitMs(result.error, usualMs, failures);
  };
  const poll = async () => {
    const result = await client.order(id, { signal: controller.signal });
    if (controller.signal.aborted) return;
    const next = judge(result);
    if (next === 'ended') stop();
    else timer = setTimeout(poll, next);
    // Last, so that a callback which throws or stops finds everything in place.
    if (result.ok) tell(onOrder, result.value);
    else tell(onError, result.error);
  };

  if (signal?.aborted) return stop;
  signal?.addEventListener('abort', stop);
  void poll();
  return stop;
}

/** Doubles from the usual wait up to a minute, and is never shorter than what the store asks for. */
function failedWaitMs(error: ClientError, usualMs: number, failures: number): number {
  const doubledMs = Math.min(usualMs * 2 ** Math.min(failures - 1, 8), Math.max(LONGEST_BACKOFF_MS, usualMs));
  const askedMs = 'retryAfterS' in error ? (error.retryAfterS ?? 0) * 1_000 : 0;
  return Math.max(doubledMs, Math.min(askedMs, LONGEST_RETRY_AFTER_MS));
}

function bounded(value: number | undefined, least: number, most: number, usual: number): number {
  return value === undefined || Number.isNaN(value) ? usual : Math.min(Math.max(value, least), most);
}
