/** The stream without an EventSource: against servers that misbehave, on real sockets, and its silence by a fake clock. */
import type { RequestListener } from 'node:http';

import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';

import { FetchSource, SILENCE_MS } from '../src/fetch-source.js';
import { subscribeToOrder } from '../src/stream.js';
import { loopback, message, ORDER_ID, orderText, pour, signpost, STOP } from './fixtures.js';

const STREAM = { 'content-type': 'text/event-stream; charset=utf-8' };

/** Follows a server until the source gives up, and tells what came before. */
async function readUntilError(listener: RequestListener): Promise<string[]> {
  const url = await loopback(listener);
  const seen: string[] = [];
  const { reached, reach } = signpost();
  const source = new FetchSource(`${url}/stream`);
  onTestFinished(() => source.close());
  source.addEventListener('message', ({ data }) => seen.push(String(data)));
  source.addEventListener('error', () => {
    seen.push('error');
    reach();
  });
  await reached;
  return seen;
}

test('a stream that dies in the middle of an event gives what came before, then one error', async () => {
  const seen = await readUntilError((_request, response) => {
    response.writeHead(200, STREAM);
    response.write('data: a\n\ndata: {"order', () => response.socket?.destroy());
  });
  expect(seen).toEqual(['a', 'error']);
});

test('a stream that ends in the middle of an event drops it', async () => {
  const seen = await readUntilError((_request, response) => void response.writeHead(200, STREAM).end('data: a\n\ndata: b\n'));
  expect(seen).toEqual(['a', 'error']);
});

test('10 MB without a line end are given up, and not read to their end', async () => {
  const { reached, reach } = signpost<boolean>();
  const seen = await readUntilError(async (_request, response) => {
    response.on('close', () => reach(response.writableFinished));
    response.writeHead(200, STREAM);
    // Left open after it: the reader has to go by itself.
    await pour(response, Buffer.alloc(1_000_000, 'x'), 10);
  });
  expect(seen).toEqual(['error']);
  expect(await reached).toBe(false);
});

test.each<[string, RequestListener]>([
  ['a page', (_request, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('data: a\n\n')],
  ['no content type', (_request, response) => void response.writeHead(200).end('data: a\n\n')],
  ['a refusal', (_request, response) => void response.writeHead(404, STREAM).end('data: a\n\n')],
  ['another 2xx', (_request, response) => void response.writeHead(206, STREAM).end('data: a\n\n')],
  ['nothing', (_request, response) => void response.writeHead(204).end()],
])('%s instead of a stream is an error', async (_name, listener) => {
  expect(await readUntilError(listener)).toEqual(['error']);
});

test('a redirect is an error and not followed', async () => {
  const paths: (string | undefined)[] = [];
  const seen = await readUntilError((request, response) => {
    paths.push(request.url);
    response.writeHead(307, { location: '/elsewhere' }).end();
  });
  expect(seen).toEqual(['error']);
  expect(paths).toEqual(['/stream']);
});

test('a fetch that throws at once is a lost connection like any other', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const fetch = vi.fn(() => {
    throw new Error('no fetch here');
  });
  const stop = subscribeToOrder(ORDER_ID, { baseUrl: 'https://shop.example', onOrder: () => undefined, fetch });
  onTestFinished(stop);
  for (const [calls, waitMs] of [[1, 1_000], [2, 2_000], [3, 4_000]] as const) {
    await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1));
    expect(fetch).toHaveBeenCalledTimes(calls);
    await vi.advanceTimersByTimeAsync(waitMs);
  }
});

test('an order is followed over real sockets until the server says stop', async () => {
  const { reached, reach } = signpost();
  const requests: string[] = [];
  const baseUrl = await loopback((request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers.accept}`);
    response.on('close', () => reach());
    response.writeHead(200, STREAM);
    response.write(`: ping\n\n${message()}data: {\n\ndata: {}\n\n${message({ order_state: 'Done' })}${STOP}`);
  });
  const states: string[] = [];
  const errors: string[] = [];
  subscribeToOrder(ORDER_ID, {
    baseUrl,
    onOrder: (order) => states.push(order.order_state),
    onError: (error) => errors.push(error.kind),
  });
  await reached;
  expect(states).toEqual(['WaitingForPayment', 'Done']);
  expect(errors).toEqual(['malformed']);
  expect(requests).toEqual([`GET /api/orders/${ORDER_ID}/subscribe text/event-stream`]);
});

describe('the silence', () => {
  test('ends a stream that sent half an event and stalls, and closes its connection', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const [first, closed] = [signpost(), signpost()];
    const url = await loopback((request, response) => {
      request.socket.on('close', () => closed.reach());
      response.writeHead(200, STREAM).write('data: a\n\ndata: {"order');
    });
    const source = new FetchSource(url);
    const seen: string[] = [];
    source.addEventListener('message', ({ data }) => {
      seen.push(String(data));
      first.reach();
    });
    source.addEventListener('error', () => seen.push('error'));
    await first.reached;
    await vi.advanceTimersByTimeAsync(SILENCE_MS);
    expect(seen).toEqual(['a', 'error']);
    await closed.reached;
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('is a minute without any byte, and each byte begins it again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const signals: AbortSignal[] = [];
    let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (stream = controller) });
    const source = new FetchSource('https://shop.example/stream', async (_input, init) => {
      signals.push(init?.signal as AbortSignal);
      return new Response(body, { headers: STREAM });
    });
    const onError = vi.fn();
    source.addEventListener('error', onError);
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    stream?.enqueue(new TextEncoder().encode(':'));
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    expect(onError).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(onError).toHaveBeenCalledTimes(1);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('ends when the source is closed, and no event comes after that', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const source = new FetchSource('https://shop.example/stream', async () => {
      return new Response(`data: ${orderText()}\n\ndata: b\n\n`, { headers: STREAM });
    });
    const onMessage = vi.fn(() => source.close());
    const onError = vi.fn();
    source.addEventListener('message', onMessage);
    source.addEventListener('error', onError);
    await vi.advanceTimersByTimeAsync(0);
    expect(onMessage).toHaveBeenCalledTimes(1);
    expect(onError).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});
