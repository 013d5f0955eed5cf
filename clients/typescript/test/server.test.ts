import type { IncomingHttpHeaders, RequestListener } from 'node:http';

import { afterEach, describe, expect, expectTypeOf, test, vi } from 'vitest';

import type { OrderStreamHandler, OrderStreamProxyOptions } from '../src/server.js';
import { orderStreamProxy } from '../src/server.js';
import { deserted, loopback, message, ORDER_ID, pour, signpost, STOP } from './fixtures.js';

const PARTNER = 'acme-partner-id';
const STREAM = { 'content-type': 'text/event-stream' };
const FAILED = { error: 'Failed to connect to upstream stream' };
const REFUSED = { error: 'Upstream returned an error' };

function visit(orderId = ORDER_ID, init: RequestInit = {}): [Request, { params: Promise<{ orderId: string }> }] {
  return [new Request(`https://app.example/api/orders/x/subscribe`, init), { params: Promise.resolve({ orderId }) }];
}

function proxyTo(apiUrl: string, options: Partial<OrderStreamProxyOptions> = {}): OrderStreamHandler {
  return orderStreamProxy({ apiUrl, partner: PARTNER, ...options });
}

async function proxyOf(listener: RequestListener, options: Partial<OrderStreamProxyOptions> = {}) {
  return proxyTo(await loopback(listener), options);
}

/** The answer is this refusal, and shows nothing of the partner. */
async function expectRefusal(response: Response, status: number, body: unknown): Promise<void> {
  expect(response.status).toBe(status);
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(await response.json()).toEqual(body);
  expect(JSON.stringify([...response.headers])).not.toContain(PARTNER);
}

describe('a good stream', () => {
  test('passes as it comes, with the headers of the contract', async () => {
    const text = `\ufeff: ping\r\n\r\n${message()}${STOP}`;
    const proxy = await proxyOf((_request, response) => {
      response.writeHead(200, { ...STREAM, 'x-upstream': 'secret', 'set-cookie': 'a=b' });
      response.end(text);
    });
    const response = await proxy(...visit());
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
    });
    expect(Buffer.from(await response.arrayBuffer()).equals(Buffer.from(text))).toBe(true);
  });

  test('reaches the visitor before upstream has ended', async () => {
    const proxy = await proxyOf((_request, response) => void response.writeHead(200, STREAM).write('data: a\n\n'));
    const reader = (await proxy(...visit())).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('data: a\n\n');
    await reader?.cancel();
  });

  test('without a content type is one too', async () => {
    const proxy = await proxyOf((_request, response) => void response.writeHead(200).end(STOP));
    expect((await proxy(...visit())).status).toBe(200);
  });

  test('params that are no promise are taken as well', async () => {
    const proxy = await proxyOf((_request, response) => void response.writeHead(200, STREAM).end(STOP));
    expect((await proxy(visit()[0], { params: { orderId: ORDER_ID } })).status).toBe(200);
  });

  test('is read no faster than the visitor reads', async () => {
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          pulls += 1;
          controller.enqueue(new Uint8Array(1_000_000));
        },
      },
      { highWaterMark: 0 },
    );
    const proxy = proxyTo('https://shop.example', { fetch: async () => new Response(body, { headers: STREAM }) });
    const reader = (await proxy(...visit())).body?.getReader();
    expect(pulls).toBe(0);
    await reader?.read();
    await reader?.read();
    expect(pulls).toBe(2);
  });

  test('of 10 MB without a line end is passed on and never gathered', async () => {
    const proxy = await proxyOf(async (_request, response) => {
      response.writeHead(200, STREAM);
      await pour(response, Buffer.alloc(1_000_000, 'x'), 10);
      response.end();
    });
    const reader = (await proxy(...visit())).body?.getReader();
    let [whole, largest] = [0, 0];
    for (let step = await reader?.read(); step?.value !== undefined; step = await reader?.read()) {
      whole += step.value.byteLength;
      largest = Math.max(largest, step.value.byteLength);
    }
    expect(whole).toBe(10_000_000);
    expect(largest).toBeLessThan(1_000_000);
  });

  test('that dies in the middle of an event ends there for the visitor', async () => {
    const { reached, reach } = signpost();
    const proxy = await proxyOf((_request, response) => {
      response.writeHead(200, STREAM).write('data: {"ord');
      void reached.then(() => response.socket?.destroy());
    });
    const reader = (await proxy(...visit())).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('data: {"ord');
    reach();
    await expect(reader?.read()).rejects.toThrow();
  });
});

describe('what upstream is asked', () => {
  async function asked(init: RequestInit, options: Partial<OrderStreamProxyOptions> = {}) {
    const seen: { url?: string | undefined; method?: string | undefined; headers: IncomingHttpHeaders }[] = [];
    const apiUrl = await loopback((request, response) => {
      seen.push({ url: request.url, method: request.method, headers: request.headers });
      response.writeHead(200, STREAM).end(STOP);
    });
    await (await proxyTo(`${apiUrl}/prefix/`, options)(...visit(ORDER_ID, init))).text();
    return seen[0];
  }

  test('has the path and the headers of the contract', async () => {
    const request = await asked({}, { version: '1.2', userAgent: 'shop/1' });
    expect(request?.method).toBe('GET');
    expect(request?.url).toBe(`/prefix/v5/orders/${ORDER_ID}/subscribe`);
    expect(request?.headers).toMatchObject({
      'x-cr-application': PARTNER, 'x-cr-version': '1.2', 'user-agent': 'shop/1', accept: 'text/event-stream',
      connection: 'keep-alive',
    });
  });

  test('names the visitor, and passes on nothing else of theirs', async () => {
    const request = await asked({
      headers: {
        authorization: 'Bearer t0ken', 'x-forwarded-for': '203.0.113.7', 'x-country-iso-code': 'US', 'user-agent': 'phone',
        cookie: 'session=1', 'x-cr-application': 'somebody-else', 'last-event-id': '7',
      },
    });
    expect(request?.headers).toMatchObject({
      authorization: 'Bearer t0ken', 'x-forwarded-for': '203.0.113.7', 'x-country-iso-code': 'US', 'user-agent': 'phone',
      'x-cr-application': PARTNER,
    });
    expect(request?.headers).not.toHaveProperty('cookie');
    expect(request?.headers).not.toHaveProperty('last-event-id');
  });

  test('has what the app adds, which replaces what the visitor sent and never the partner', async () => {
    const headers = async () => ({ Authorization: 'Bearer session', 'X-Extra': '1', 'X-Cr-Application': 'other' });
    const request = await asked({ headers: { authorization: 'Bearer forged' } }, { headers });
    expect(request?.headers).toMatchObject({ authorization: 'Bearer session', 'x-extra': '1', 'x-cr-application': PARTNER });
  });
});

describe('no upstream', () => {
  test('at the address is a 502', async () => {
    await expectRefusal(await proxyTo(await deserted())(...visit()), 502, FAILED);
  });

  test('that answers before it dies is a 502', async () => {
    const proxy = await proxyOf((_request, response) => void response.socket?.destroy());
    await expectRefusal(await proxy(...visit()), 502, FAILED);
  });

  test.each<[string, Partial<OrderStreamProxyOptions>]>([
    ['an address that is none', { apiUrl: 'shop.example' }],
    ['a partner that cannot be sent', { partner: 'a\nb' }],
    ['headers that cannot be made', { headers: () => Promise.reject(new Error(PARTNER)) }],
  ])('because of %s is a 502', async (_name, options) => {
    await expectRefusal(await proxyTo('https://shop.example', options)(...visit()), 502, FAILED);
  });
});

describe('the wait for upstream', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  const deaf = (signals: AbortSignal[]): typeof fetch => (_input, init) =>
    new Promise((_resolve, reject) => {
      const signal = init?.signal as AbortSignal;
      signals.push(signal);
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });

  test('is ten seconds, to the millisecond, and then a 502', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const signals: AbortSignal[] = [];
    const response = proxyTo('https://shop.example', { fetch: deaf(signals) })(...visit());
    await vi.advanceTimersByTimeAsync(9_999);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1);
    await expectRefusal(await response, 502, FAILED);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('is over with the headers: a stream may be silent for longer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const signals: AbortSignal[] = [];
    const response = await proxyTo('https://shop.example', {
      fetch: async (_input, init) => {
        signals.push(init?.signal as AbortSignal);
        return new Response(new ReadableStream(), { headers: STREAM });
      },
    })(...visit());
    await vi.advanceTimersByTimeAsync(60_000);
    expect(response.status).toBe(200);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  });
});

describe('an upstream that refuses', () => {
  test.each([
    [404, 404], [401, 401], [429, 429], [500, 500], [503, 503],
    [301, 502], [302, 502], [304, 502], [307, 502], [204, 502], [205, 502],
  ])('with %s is a %s', async (status, shown) => {
    const paths: (string | undefined)[] = [];
    const proxy = await proxyOf((request, response) => {
      paths.push(request.url);
      response.writeHead(status, { location: '/elsewhere', 'x-reason': 'secret' }).end();
    });
    const response = await proxy(...visit());
    expect(response.headers.get('x-reason')).toBeNull();
    await expectRefusal(response, shown, REFUSED);
    expect(paths).toEqual([`/v5/orders/${ORDER_ID}/subscribe`]);
  });

  test('with a page is a 502 that shows none of it', async () => {
    const proxy = await proxyOf((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(`<html>${PARTNER}</html>`);
    });
    await expectRefusal(await proxy(...visit()), 502, REFUSED);
  });

  test('with a status that no response can have is a 502', async () => {
    const odd = { status: 999, ok: false, body: null, headers: new Headers() } as Response;
    await expectRefusal(await proxyTo('https://shop.example', { fetch: async () => odd })(...visit()), 502, REFUSED);
  });

  test('with an endless body is let go of', async () => {
    const { reached, reach } = signpost();
    const proxy = await proxyOf((_request, response) => {
      response.on('close', () => reach());
      response.writeHead(500).write('{');
    });
    await expectRefusal(await proxy(...visit()), 500, REFUSED);
    await reached;
  });
});

describe('a visitor who leaves', () => {
  test.each(['the request', 'the body'])('by %s ends the stream upstream, also half-way in an event', async (way) => {
    const { reached, reach } = signpost();
    const proxy = await proxyOf((_request, response) => {
      response.on('close', () => reach());
      response.writeHead(200, STREAM).write('data: {"ord');
    });
    const controller = new AbortController();
    const response = await proxy(...visit(ORDER_ID, { signal: controller.signal }));
    const reader = response.body?.getReader();
    await reader?.read();
    if (way === 'the request') controller.abort();
    else await reader?.cancel();
    await reached;
  });

  test('with the head alone, as HEAD asks for, holds no stream upstream', async () => {
    const { reached, reach } = signpost();
    const proxy = await proxyOf((_request, response) => {
      response.on('close', () => reach());
      response.writeHead(200, STREAM).write('data: a\n\n');
    });
    const response = await proxy(...visit(ORDER_ID, { method: 'HEAD' }));
    expect([response.status, response.headers.get('content-type'), response.body]).toEqual([200, 'text/event-stream', null]);
    await reached;
  });

  test('before the beginning causes no call', async () => {
    const paths: (string | undefined)[] = [];
    const proxy = await proxyOf((request, response) => {
      paths.push(request.url);
      response.end();
    });
    await expectRefusal(await proxy(...visit(ORDER_ID, { signal: AbortSignal.abort() })), 502, FAILED);
    expect(paths).toEqual([]);
  });
});

test.each([
  '', '.', '..', '../../v3/currencies', 'a/b', 'a\\b', '%2e%2e', 'a%2fb', 'a?b', 'a#b', 'a b', 'a\r\nb', 'é', 'x'.repeat(129),
])('the id %.20j is unknown, and upstream is not asked', async (orderId) => {
  const fetch = vi.fn<typeof globalThis.fetch>();
  const response = await proxyTo('https://shop.example', { fetch })(...visit(orderId));
  await expectRefusal(response, 404, { error: 'No such order' });
  expect(fetch).not.toHaveBeenCalled();
});

test.each(['x', 'x'.repeat(128), 'a.b', '...', 'A-b_c~9'])('the id %.20j is passed on', async (orderId) => {
  const fetch = vi.fn<typeof globalThis.fetch>(async () => new Response(STOP, { headers: STREAM }));
  expect((await proxyTo('https://shop.example', { fetch })(...visit(orderId))).status).toBe(200);
  expect(fetch.mock.calls[0]?.[0]).toBe(`https://shop.example/v5/orders/${orderId}/subscribe`);
});

test('a route file may export it: its last form is the one with a promise', () => {
  expectTypeOf<Parameters<OrderStreamHandler>[1]>().toEqualTypeOf<{ params: Promise<{ readonly orderId: string }> }>();
  expectTypeOf<OrderStreamHandler>().toExtend<
    (request: Request, context: { params: Promise<{ orderId: string }> }) => Response | Promise<Response>
  >();
});
