/** The client against servers that misbehave, on real sockets. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { createClient } from '../src/client.js';
import type { ClientError, Result } from '../src/errors.js';
import { MAX_ANSWER_BYTES } from '../src/exchange.js';
import { deserted, loopback, ORDER_ID, orderBody, orderText, pour, signpost } from './fixtures.js';

const ORDER = {
  payment: { type: 'via', payment_via: 'USER_WALLET', coin: 'USDC' },
  deliveries: [{ brand_name: 'Steam', country_code: 'US', denomination: '10 USD' }],
} as const;

function errorOf<T>(result: Result<T>, baseUrl: string): ClientError {
  if (result.ok) throw new Error('the call succeeded');
  expect(result.error.message).not.toContain(ORDER_ID);
  expect(result.error.message).not.toContain(baseUrl);
  return result.error;
}

test('a good answer in many pieces is read', async () => {
  const text = orderText();
  const baseUrl = await loopback((_request, response) => {
    for (const character of text) response.write(character);
    response.end();
  });
  expect(await createClient({ baseUrl }).order(ORDER_ID)).toEqual({ ok: true, value: orderBody() });
});

test('nobody at the address is a transport error', async () => {
  const baseUrl = await deserted();
  expect(errorOf(await createClient({ baseUrl }).order(ORDER_ID), baseUrl).kind).toBe('transport');
});

test.each(['head', 'body'])('a connection that dies in the %s is a transport error', async (place) => {
  const baseUrl = await loopback((_request, response) => {
    if (place === 'head') return void response.socket?.destroy();
    response.writeHead(200, { 'content-length': '1000' });
    response.write(orderText().slice(0, 100), () => response.socket?.destroy());
  });
  expect(errorOf(await createClient({ baseUrl }).order(ORDER_ID), baseUrl).kind).toBe('transport');
});

test('a failed order says that it may have been placed, a failed reading does not', async () => {
  const baseUrl = await loopback((_request, response) => void response.socket?.destroy());
  const client = createClient({ baseUrl });
  const warning = /may have been placed: repeat the call with the same idempotency key/;
  expect(errorOf(await client.createOrder(ORDER), baseUrl).message).toMatch(warning);
  expect(errorOf(await client.order(ORDER_ID), baseUrl).message).not.toMatch(warning);
});

test('an answer that announces more than 8 MiB is too large before it is read', async () => {
  const baseUrl = await loopback((_request, response) => {
    response.writeHead(200, { 'content-length': String(MAX_ANSWER_BYTES + 1) }).write('[');
  });
  expect(errorOf(await createClient({ baseUrl }).brands({ country_code: 'US' }), baseUrl).kind).toBe('tooLarge');
});

test('an answer that grows above 8 MiB is too large, and is not read to its end', async () => {
  const { reached, reach } = signpost<boolean>();
  const baseUrl = await loopback(async (_request, response) => {
    response.on('close', () => reach(response.writableFinished));
    await pour(response, Buffer.alloc(MAX_ANSWER_BYTES / 8, '['), 16 * 8);
    response.end();
  });
  expect(errorOf(await createClient({ baseUrl }).brands({ country_code: 'US' }), baseUrl).kind).toBe('tooLarge');
  expect(await reached).toBe(false);
});

test('a page instead of JSON is a decode error', async () => {
  const baseUrl = await loopback((_request, response) => void response.end('<html><body>Welcome</body></html>'));
  expect(errorOf(await createClient({ baseUrl }).order(ORDER_ID), baseUrl).kind).toBe('decode');
});

test.each([301, 302, 303, 307, 308])('a redirect with %s is a status and not followed', async (status) => {
  const paths: (string | undefined)[] = [];
  const baseUrl = await loopback((request, response) => {
    paths.push(request.url);
    response.writeHead(status, { location: '/elsewhere' }).end();
  });
  const error = errorOf(await createClient({ baseUrl }).createOrder(ORDER), baseUrl);
  expect(error).toMatchObject({ kind: 'status', status, message: expect.stringContaining('redirect') });
  expect(paths).toEqual(['/v5/orders']);
});

test('a redirect that a browser hides is one too', async () => {
  const hidden = { status: 0, ok: false, body: null, headers: new Headers() } as Response;
  const client = createClient({ baseUrl: 'https://shop.example', fetch: async () => hidden });
  expect(errorOf(await client.currencies(), 'shop.example')).toMatchObject({ kind: 'status', status: 0 });
});

test('an id that tries to leave its path reaches the server as one segment', async () => {
  const paths: (string | undefined)[] = [];
  const baseUrl = await loopback((request, response) => {
    paths.push(request.url);
    response.end('{}');
  });
  await createClient({ baseUrl: `${baseUrl}/prefix` }).order('../../../admin');
  expect(paths).toEqual(['/prefix/v5/orders/..%2F..%2F..%2Fadmin']);
});

test('a signal ends the call, before it and while it lasts', async () => {
  const { reached, reach } = signpost();
  const baseUrl = await loopback(() => reach());
  const client = createClient({ baseUrl });
  expect(errorOf(await client.order(ORDER_ID, { signal: AbortSignal.abort() }), baseUrl).kind).toBe('aborted');
  const controller = new AbortController();
  const result = client.createOrder(ORDER, { signal: controller.signal });
  await reached;
  controller.abort();
  const error = errorOf(await result, baseUrl);
  expect(error).toMatchObject({ kind: 'aborted', message: expect.stringContaining('may have been placed') });
});

describe('the time-out', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  test('ends an answer that stalls half-way, and closes its connection', async () => {
    const [asked, closed] = [signpost(), signpost()];
    const baseUrl = await loopback((request, response) => {
      request.socket.on('close', () => closed.reach());
      response.write(orderText().slice(0, 100), () => asked.reach());
    });
    const result = createClient({ baseUrl }).order(ORDER_ID);
    await asked.reached;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(errorOf(await result, baseUrl).kind).toBe('transport');
    await closed.reached;
  });

  test('is over with the answer', async () => {
    const client = createClient({ baseUrl: 'https://shop.example', fetch: async () => new Response('[]') });
    expect(await client.currencies()).toEqual({ ok: true, value: [] });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is ten seconds, to the millisecond, and leaves no timer behind', async () => {
    const signals: AbortSignal[] = [];
    const fetch: typeof globalThis.fetch = (_input, init) =>
      new Promise((_resolve, reject) => {
        const signal = init?.signal as AbortSignal;
        signals.push(signal);
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const result = createClient({ baseUrl: 'https://shop.example', fetch }).currencies();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1);
    expect(errorOf(await result, 'shop.example').kind).toBe('transport');
    expect(vi.getTimerCount()).toBe(0);
  });
});
