import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { SubscribeOptions } from '../src/stream.js';
import { subscribeToOrder } from '../src/stream.js';
import { FakeSource, message, ORDER_ID, orderText, STOP } from './fixtures.js';

const onOrder = vi.fn();
const onError = vi.fn();

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  FakeSource.reset();
  onOrder.mockReset();
  onError.mockReset();
});

afterEach(() => {
  vi.useRealTimers();
});

function follow(options: Partial<SubscribeOptions> = {}): () => void {
  return subscribeToOrder(ORDER_ID, { onOrder, onError, eventSource: FakeSource, ...options });
}

/** Loses the connection and checks that the next one comes after exactly this wait. */
function expectWait(waitMs: number): void {
  const before = FakeSource.all.length;
  FakeSource.last.emit('error');
  expect(FakeSource.open).toHaveLength(0);
  vi.advanceTimersByTime(waitMs - 1);
  expect(FakeSource.all).toHaveLength(before);
  vi.advanceTimersByTime(1);
  expect(FakeSource.all).toHaveLength(before + 1);
}

/** Nothing is open, nothing is planned, and what still comes from the source is not handed on. */
function expectSilence(): void {
  const { length } = FakeSource.all;
  onOrder.mockClear();
  onError.mockClear();
  for (const source of FakeSource.all) {
    source.emit('message', orderText());
    source.emit('message', '{');
    source.emit('error');
    source.emit('stop', '{}');
  }
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(120_000);
  expect(FakeSource.all).toHaveLength(length);
  expect(FakeSource.open).toHaveLength(0);
  expect(onOrder).not.toHaveBeenCalled();
  expect(onError).not.toHaveBeenCalled();
}

describe('the rules of the contract, section 4.5', () => {
  test.each([null, undefined])('an id that is %j makes no connection', (id) => {
    const stop = subscribeToOrder(id, { onOrder, onError, eventSource: FakeSource });
    expect(FakeSource.all).toHaveLength(0);
    stop();
    expectSilence();
  });

  test('the address is that of the route', () => {
    follow();
    expect(FakeSource.last.url).toBe(`/api/orders/${ORDER_ID}/subscribe`);
    follow({ baseUrl: 'https://shop.example/prefix/' });
    expect(FakeSource.last.url).toBe(`https://shop.example/prefix/api/orders/${ORDER_ID}/subscribe`);
    follow({ url: '/live' });
    expect(FakeSource.last.url).toBe('/live');
  });

  test('a valid order is handed on', () => {
    follow();
    FakeSource.last.emit('message', orderText({ order_state: 'Done' }));
    expect(onOrder.mock.calls).toEqual([[expect.objectContaining({ order_state: 'Done' })]]);
  });

  test('a message that is no JSON is an error, and the stream stays open', () => {
    follow();
    FakeSource.last.emit('message', '{"pin_code":"ABCD-SECRET"');
    expect(onError).toHaveBeenCalledTimes(1);
    expect(onError).toHaveBeenCalledWith({ kind: 'malformed', message: expect.not.stringContaining('SECRET') });
    expect(FakeSource.open).toHaveLength(1);
    FakeSource.last.emit('message', orderText());
    expect(onOrder).toHaveBeenCalledTimes(1);
  });

  test.each(['{}', 'null', '[1]', '7', orderText({ coin_amount: 1 })])('%.20s is no order and dropped', (text) => {
    follow();
    FakeSource.last.emit('message', text);
    expect(onOrder).not.toHaveBeenCalled();
    expect(onError).not.toHaveBeenCalled();
    expect(FakeSource.open).toHaveLength(1);
  });

  test('the waits are 1, 2, 4, 8, 16, 30 and 30 s, to the millisecond', () => {
    follow();
    for (const seconds of [1, 2, 4, 8, 16, 30, 30]) expectWait(seconds * 1_000);
  });

  test('only a valid order sets the wait back', () => {
    follow();
    expectWait(1_000);
    FakeSource.last.emit('open');
    expectWait(2_000);
    FakeSource.last.emit('message', '{}');
    expectWait(4_000);
    FakeSource.last.emit('message', '{');
    expectWait(8_000);
    FakeSource.last.emit('message', orderText());
    expectWait(1_000);
    expectWait(2_000);
  });

  test('stop ends it for ever', () => {
    follow();
    FakeSource.last.emit('message', orderText());
    FakeSource.last.emit('stop', 'not even JSON');
    expect(FakeSource.last.closed).toBe(true);
    expectSilence();
  });

  test('unsubscribing closes the source', () => {
    const unsubscribe = follow();
    unsubscribe();
    expect(FakeSource.last.closed).toBe(true);
    expectSilence();
    unsubscribe();
  });

  test('unsubscribing clears the timer', () => {
    const unsubscribe = follow();
    FakeSource.last.emit('error');
    expect(vi.getTimerCount()).toBe(1);
    unsubscribe();
    expectSilence();
  });

  test('at most one source is open at a time', () => {
    follow();
    for (let round = 0; round < 20; round += 1) {
      const source = FakeSource.last;
      source.emit('error');
      source.emit('error');
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(30_000);
    }
    expect(FakeSource.all).toHaveLength(21);
    expect(FakeSource.mostOpen).toBe(1);
  });
});

describe('beside the contract', () => {
  test('what a closed source had on its way is ignored', () => {
    follow();
    const lost = FakeSource.last;
    lost.emit('error');
    lost.emit('message', orderText());
    lost.emit('stop');
    expect(onOrder).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1_000);
    expect(FakeSource.open).toHaveLength(1);
  });

  test('a signal ends it, during a connection and during a wait', () => {
    for (const before of ['open', 'error']) {
      FakeSource.reset();
      const controller = new AbortController();
      follow({ signal: controller.signal });
      FakeSource.last.emit(before);
      controller.abort();
      expectSilence();
    }
  });

  test('a signal that has aborted already makes no connection', () => {
    follow({ signal: AbortSignal.abort() });
    expect(FakeSource.all).toHaveLength(0);
  });

  test('a signal that outlives the stream is let go of', () => {
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, 'removeEventListener');
    follow({ signal })();
    expect(remove).toHaveBeenCalledWith('abort', expect.any(Function));
  });

  test.each([
    [0.5, 0, 1_000],
    [0.5, 0.5, 1_250],
    [1, 0.999, 1_999],
    [7, 0.999, 1_999],
    [-1, 0.999, 1_000],
    [Number.NaN, 0.999, 1_000],
    [undefined, 0.999, 1_000],
  ])('a jitter of %s with the luck of %s makes the first wait %s ms', (jitter, luck, waitMs) => {
    vi.spyOn(Math, 'random').mockReturnValue(luck);
    follow({ jitter });
    expectWait(waitMs);
  });

  test('a callback that throws surfaces, and the stream goes on with one source', () => {
    const surfaced: (() => void)[] = [];
    vi.stubGlobal('queueMicrotask', (task: () => void) => surfaced.push(task));
    const broken = () => {
      throw new Error('the page is broken');
    };
    follow({ onOrder: broken, onError: broken });
    FakeSource.last.emit('message', orderText());
    FakeSource.last.emit('message', '{');
    expect(surfaced).toHaveLength(2);
    for (const task of surfaced) expect(task).toThrow('the page is broken');
    expect(FakeSource.open).toHaveLength(1);
    expectWait(1_000);
    expect(FakeSource.mostOpen).toBe(1);
  });

  test('unsubscribing inside of a callback is the end', () => {
    const unsubscribe = follow({ onOrder: () => unsubscribe() });
    FakeSource.last.emit('message', orderText());
    expectSilence();
  });

  test.each(['', '.', '..', '\ud800'])('the id %j is refused and nothing is sent', (id) => {
    const unsubscribe = subscribeToOrder(id, { onOrder, onError: () => onError(unsubscribe), eventSource: FakeSource });
    vi.runAllTimers();
    expect(onError).toHaveBeenCalledTimes(1);
    expect(FakeSource.all).toHaveLength(0);
    expectSilence();
  });

  test('an id with a slash stays one segment', () => {
    subscribeToOrder('../../v5/orders', { onOrder, eventSource: FakeSource });
    expect(FakeSource.last.url).toBe('/api/orders/..%2F..%2Fv5%2Forders/subscribe');
  });

  test('an address that no source can be made of is an error and the end', () => {
    class Refusing extends FakeSource {
      constructor(url: string) {
        super(url);
        this.closed = true;
        throw new SyntaxError(url);
      }
    }
    follow({ eventSource: Refusing });
    vi.runAllTimers();
    expect(onError.mock.calls).toEqual([[{ kind: 'setup', message: expect.not.stringContaining(ORDER_ID) }]]);
    expectSilence();
  });
});

describe('where there is no EventSource', () => {
  const streams: ReadableStreamDefaultController<Uint8Array>[] = [];
  const requests: { readonly url: string; readonly signal: AbortSignal }[] = [];

  const fakeFetch: typeof fetch = async (input, init) => {
    requests.push({ url: String(input), signal: init?.signal as AbortSignal });
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void streams.push(controller) });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  };

  /** Lets the module load and the stream be read; no time passes. */
  async function settle(): Promise<void> {
    await vi.dynamicImportSettled();
    await vi.advanceTimersByTimeAsync(0);
  }

  function push(text: string): void {
    streams.at(-1)?.enqueue(new TextEncoder().encode(text));
  }

  beforeEach(() => {
    streams.length = 0;
    requests.length = 0;
  });

  test('a fetch stream follows the same rules, wait by wait', async () => {
    vi.stubGlobal('fetch', fakeFetch);
    subscribeToOrder(ORDER_ID, { onOrder, onError, baseUrl: 'https://shop.example' });
    await settle();
    expect(requests.map(({ url }) => url)).toEqual([`https://shop.example/api/orders/${ORDER_ID}/subscribe`]);
    for (const [round, seconds] of [1, 2, 4, 8, 16, 30, 30].entries()) {
      streams.at(-1)?.close();
      await settle();
      await vi.advanceTimersByTimeAsync(seconds * 1_000 - 1);
      expect(requests).toHaveLength(round + 1);
      await vi.advanceTimersByTimeAsync(1);
      await settle();
      expect(requests).toHaveLength(round + 2);
    }
    push(message({ order_state: 'Done' }) + STOP + message());
    await settle();
    expect(onOrder.mock.calls).toEqual([[expect.objectContaining({ order_state: 'Done' })]]);
    expect(requests.at(-1)?.signal.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('unsubscribing while the module loads makes no connection', async () => {
    subscribeToOrder(ORDER_ID, { onOrder, baseUrl: 'https://shop.example', fetch: fakeFetch })();
    await settle();
    expect(requests).toHaveLength(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('a fetch that is named goes before an EventSource that exists', async () => {
    vi.stubGlobal('EventSource', FakeSource);
    const unsubscribe = subscribeToOrder(ORDER_ID, { onOrder, baseUrl: 'https://shop.example', fetch: fakeFetch });
    await settle();
    expect(requests).toHaveLength(1);
    expect(FakeSource.all).toHaveLength(0);
    unsubscribe();
    expect(requests[0]?.signal.aborted).toBe(true);
  });

  test('an EventSource that exists is used', () => {
    vi.stubGlobal('EventSource', FakeSource);
    subscribeToOrder(ORDER_ID, { onOrder });
    expect(FakeSource.all).toHaveLength(1);
  });

  test('an address without an origin is an error and the end', async () => {
    subscribeToOrder(ORDER_ID, { onOrder, onError, fetch: fakeFetch });
    await settle();
    await vi.advanceTimersByTimeAsync(1);
    expect(onError.mock.calls).toEqual([[expect.objectContaining({ kind: 'setup' })]]);
    expect(requests).toHaveLength(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
