import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Client } from '../src/client.js';
import type { ClientError, Result } from '../src/errors.js';
import type { PollOptions } from '../src/poll.js';
import { isLasting, pollOrder } from '../src/poll.js';
import type { Order } from '../src/schema/order.js';
import { ORDER_ID, orderBody } from './fixtures.js';

const UNPAID = answer({});
const PAID = answer({ order_state: 'WaitingForDelivery', payment_state: 'PaymentReceived' });
const BROKEN: Result<Order> = { ok: false, error: { kind: 'transport', message: 'the network is gone' } };

const onOrder = vi.fn();
const onError = vi.fn();
const signals: AbortSignal[] = [];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onOrder.mockReset();
  onError.mockReset();
  signals.length = 0;
});

afterEach(() => {
  vi.useRealTimers();
});

function answer(changes: Record<string, unknown>): Result<Order> {
  return { ok: true, value: orderBody(changes) as Order };
}

function refused(status: number, retryAfterS?: number): Result<Order> {
  const asked = retryAfterS === undefined ? {} : { retryAfterS };
  return { ok: false, error: { kind: 'refused', status, code: 'BUSY', problems: [], message: 'refused', ...asked } };
}

/** Polls a store that gives these answers, the last one for ever. */
async function poll(answers: Result<Order>[], options: Partial<PollOptions> = {}): Promise<() => void> {
  const client: Pick<Client, 'order'> = {
    order: async (_id, call) => {
      signals.push(call?.signal as AbortSignal);
      return answers[Math.min(signals.length, answers.length) - 1] as Result<Order>;
    },
  };
  const stop = pollOrder(client, ORDER_ID, { onOrder, onError, ...options });
  await vi.advanceTimersByTimeAsync(0);
  return stop;
}

async function expectWaits(waitsMs: readonly number[]): Promise<void> {
  for (const waitMs of waitsMs) {
    const before = signals.length;
    await vi.advanceTimersByTimeAsync(waitMs - 1);
    expect(signals, `not before ${waitMs} ms`).toHaveLength(before);
    await vi.advanceTimersByTimeAsync(1);
    expect(signals, `after ${waitMs} ms`).toHaveLength(before + 1);
  }
}

test('it asks at once, every 5 s until paid, then every 30 s until done, and then no more', async () => {
  await poll([UNPAID, UNPAID, UNPAID, PAID, PAID, answer({ order_state: 'Done', payment_state: 'PaymentReceived' })]);
  expect(onOrder).toHaveBeenCalledTimes(1);
  await expectWaits([5_000, 5_000, 5_000, 30_000, 30_000]);
  expect(onOrder).toHaveBeenCalledTimes(6);
  expect(vi.getTimerCount()).toBe(0);
});

test.each([
  { payment_state: 'PaymentReceived' },
  { order_state: 'PaymentReceived' },
  { order_state: 'WaitingForDelivery' },
  { order_state: 'WaitingForManualAction' },
])('%j is paid', async (changes) => {
  await poll([answer(changes)]);
  await expectWaits([30_000]);
});

test.each([{}, { order_state: 'PaymentStarted' }, { order_state: 'PartialPaymentStarted' }, { order_state: 'OnItsWay' }])(
  '%j is not paid',
  async (changes) => {
    await poll([answer(changes)]);
    await expectWaits([5_000]);
  },
);

test.each(['Done', 'Expired', 'Canceled', 'Cancelled', 'PaymentFailed', 'PaymentSetupFailed', 'Refunded'])(
  '%s is the end',
  async (order_state) => {
    await poll([answer({ order_state })]);
    expect(onOrder).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  },
);

test.each([
  [{ untilPaidMs: 1 }, 5_000, 30_000],
  [{ untilPaidMs: 8_000 }, 8_000, 30_000],
  [{ untilPaidMs: 99_000 }, 10_000, 30_000],
  [{ untilPaidMs: Number.NaN }, 5_000, 30_000],
  [{ untilDoneMs: 0 }, 5_000, 5_000],
  [{ untilDoneMs: 45_000 }, 5_000, 45_000],
  [{ untilDoneMs: Infinity }, 5_000, 600_000],
])('with %j the waits are %s and %s ms', async (options, untilPaidMs, untilDoneMs) => {
  await poll([UNPAID, PAID], options);
  await expectWaits([untilPaidMs, untilDoneMs]);
});

test('a wait begins when the answer is there', async () => {
  const calls: ((result: Result<Order>) => void)[] = [];
  pollOrder({ order: () => new Promise((resolve) => calls.push(resolve)) }, ORDER_ID, { onOrder });
  await vi.advanceTimersByTimeAsync(9_000);
  expect(calls).toHaveLength(1);
  calls[0]?.(UNPAID);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(calls).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(calls).toHaveLength(2);
});

describe('a failure', () => {
  test('doubles the wait up to a minute, is told each time, and a good answer sets it back', async () => {
    await poll([UNPAID, BROKEN, refused(503), refused(500), refused(429), BROKEN, BROKEN, UNPAID, BROKEN, BROKEN, UNPAID]);
    await expectWaits([5_000, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 5_000, 5_000, 10_000]);
    expect(onError).toHaveBeenCalledTimes(8);
    expect(onOrder).toHaveBeenCalledTimes(3);
  });

  test('after the payment doubles from the longer wait', async () => {
    await poll([PAID, BROKEN, BROKEN, BROKEN]);
    await expectWaits([30_000, 30_000, 60_000, 60_000]);
  });

  test.each([
    [1, 5_000],
    [45, 45_000],
    [1_000_000_000, 3_600_000],
  ])('with Retry-After: %s waits %s ms', async (retryAfterS, waitMs) => {
    await poll([refused(429, retryAfterS)]);
    await expectWaits([waitMs]);
  });

  test.each<[ClientError['kind'], ClientError]>([
    ['setup', { kind: 'setup', message: '' }],
    ['refused', { kind: 'refused', status: 404, code: 'NOT_FOUND', problems: [], message: '' }],
    ['status', { kind: 'status', status: 404, message: '' }],
  ])('that lasts (%s) is told once and is the end', async (_kind, error) => {
    await poll([{ ok: false, error }]);
    expect(onError.mock.calls).toEqual([[error]]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([[400, true], [401, true], [404, true], [408, false], [425, false], [429, false], [500, false], [503, false], [302, false]])(
    'with status %s lasts: %s',
    (status, lasting) => {
      expect(isLasting({ kind: 'status', status, message: '' })).toBe(lasting);
    },
  );
});

describe('the end by the caller', () => {
  test('clears the timer', async () => {
    const stop = await poll([UNPAID]);
    stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('aborts the call under way, and its answer is not told', async () => {
    const calls: { readonly resolve: (result: Result<Order>) => void; readonly signal: AbortSignal }[] = [];
    const order: Client['order'] = (_id, call) =>
      new Promise((resolve) => calls.push({ resolve, signal: call?.signal as AbortSignal }));
    const controller = new AbortController();
    pollOrder({ order }, ORDER_ID, { onOrder, onError, signal: controller.signal });
    controller.abort();
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true]);
    calls[0]?.resolve(UNPAID);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(onOrder).not.toHaveBeenCalled();
    expect(calls).toHaveLength(1);
  });

  test('before the beginning asks nothing', async () => {
    await poll([UNPAID], { signal: AbortSignal.abort() });
    expect(signals).toHaveLength(0);
  });

  test('inside of the callback is the end', async () => {
    let stop: (() => void) | undefined;
    stop = await poll([UNPAID], { onOrder: () => stop?.() });
    await expectWaits([5_000]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('a callback that throws surfaces, and the polling goes on', async () => {
  const surfaced: (() => void)[] = [];
  vi.stubGlobal('queueMicrotask', (task: () => void) => surfaced.push(task));
  await poll([UNPAID], {
    onOrder: () => {
      throw new Error('the page is broken');
    },
  });
  expect(surfaced).toHaveLength(1);
  expect(surfaced[0]).toThrow('the page is broken');
  await expectWaits([5_000]);
});
