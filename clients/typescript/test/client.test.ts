import { describe, expect, expectTypeOf, test, vi } from 'vitest';

import type { Client, ClientOptions } from '../src/client.js';
import { createClient } from '../src/client.js';
import type { ClientError, Result } from '../src/errors.js';
import type { OrderRequest } from '../src/order-request.js';
import type { Order } from '../src/schema/order.js';
import { ORDER_ID, orderBody } from './fixtures.js';

const ORDER: OrderRequest = {
  user: { email: 'end.user@example.com' },
  payment: { type: 'via', payment_via: 'USER_WALLET', coin: 'USDC', network: 'Base' },
  deliveries: [{ brand_name: 'Airbnb', country_code: 'US', denomination: 'range', product_value: '75.50' }],
};
const BRANDS = { country_code: 'US', categories: [], all_brands: [] };
const PRICE = {
  product_id: 'p-1', is_dynamic: false, coin: 'USDC', coin_amount: '10.15', original_coin_amount: '10.15',
  payment_method: 'USDC-BASE', delivery_type: 'by_email', points: '8', product_type: 'physical',
};
const PNG = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** A client whose store gives one answer, and the requests that reached it. */
function storeThatAnswers(answer: BodyInit, init: ResponseInit = {}, options: Partial<ClientOptions> = {}) {
  const requests: Request[] = [];
  const fetch: typeof globalThis.fetch = async (input, request) => {
    requests.push(new Request(input, request));
    return new Response(answer, init);
  };
  return { requests, client: createClient({ baseUrl: 'https://shop.example/prefix/', fetch, ...options }) };
}

function errorOf<T>(result: Result<T>): ClientError {
  if (result.ok) throw new Error('the call succeeded');
  return result.error;
}

describe('each call asks for the path of the contract', () => {
  test.each<[string, (client: Client) => Promise<Result<unknown>>, unknown, string]>([
    ['paymentVias', (client) => client.paymentVias(), [], 'GET /v3/payment_vias'],
    ['currencies', (client) => client.currencies(), [], 'GET /v3/currencies'],
    ['brands', (client) => client.brands({ country_code: 'US', promo_code: 'A&B' }), BRANDS, 'GET /v2/brands?country_code=US&promo_code=A%26B'],
    ['homepage', (client) => client.homepage({ country_code: 'US' }), BRANDS, 'GET /v2/homepage?country_code=US'],
    ['search', (client) => client.search({ country_code: 'US', q: 'a b', lang: undefined }), [], 'GET /v2/search/US?q=a+b'],
    ['products', (client) => client.products({ country_code: 'US', brand_name: 'Amazon.com', coin: 'USDC' }), [], 'GET /v5/products/country/US?brand_name=Amazon.com&coin=USDC'],
    ['price', (client) => client.price({ brand_name: 'Airbnb', country_code: 'US', face_value: '75.5', coin: 'USDC' }), PRICE, 'GET /v4/products/price?brand_name=Airbnb&country_code=US&face_value=75.5&coin=USDC'],
    ['validate', (client) => client.validate(ORDER), { coin: 'USDC' }, 'POST /v5/orders/validations'],
    ['createOrder', (client) => client.createOrder(ORDER), orderBody(), 'POST /v5/orders'],
    ['order', (client) => client.order(ORDER_ID), orderBody(), `GET /v5/orders/${ORDER_ID}`],
    ['availableCountries', (client) => client.availableCountries(), [{ code: 'AX', name: 'Åland Islands' }], 'GET /api/available-countries'],
  ])('%s', async (_name, call, answer, expected) => {
    const { client, requests } = storeThatAnswers(JSON.stringify(answer));
    expect(await call(client)).toMatchObject({ ok: true, value: answer });
    const [request] = requests;
    expect(`${request?.method} ${request?.url}`).toBe(expected.replace(' ', ' https://shop.example/prefix'));
  });

  test('qr', async () => {
    const { client, requests } = storeThatAnswers(PNG);
    expect(await client.qr(ORDER_ID)).toEqual({ ok: true, value: PNG });
    expect(requests[0]?.url).toBe(`https://shop.example/prefix/v3/qrs/${ORDER_ID}`);
    expect(requests[0]?.headers.get('accept')).toBe('image/png');
  });
});

describe('what is sent', () => {
  test('the identity goes with each call, and nothing that was not given', async () => {
    const { client, requests } = storeThatAnswers('[]', {}, { partner: 'acme', version: '1.2', bearer: 't0ken' });
    await client.currencies();
    expect(Object.fromEntries(requests[0]?.headers ?? [])).toEqual({
      accept: 'application/json', 'x-cr-application': 'acme', 'x-cr-version': '1.2', authorization: 'Bearer t0ken',
    });
    const anonymous = storeThatAnswers('[]');
    await anonymous.client.currencies();
    expect(Object.fromEntries(anonymous.requests[0]?.headers ?? [])).toEqual({ accept: 'application/json' });
  });

  test('a server names its visitor, and nobody replaces the identity', async () => {
    const { client, requests } = storeThatAnswers('[]', {}, { partner: 'acme' });
    await client.currencies({ headers: { 'X-Forwarded-For': '192.0.2.1', 'X-Cr-Application': 'other' } });
    expect(Object.fromEntries(requests[0]?.headers ?? [])).toEqual({
      accept: 'application/json', 'x-cr-application': 'acme', 'x-forwarded-for': '192.0.2.1',
    });
  });

  test('an order is JSON, and its amounts are strings', async () => {
    const { client, requests } = storeThatAnswers(JSON.stringify(orderBody()));
    await client.createOrder(ORDER);
    expect(requests[0]?.headers.get('content-type')).toBe('application/json');
    expect(await requests[0]?.json()).toEqual(ORDER);
  });

  test.each([
    ['plain', '"plain"'],
    ['with "quotes" and \\', '"with \\"quotes\\" and \\\\"'],
    ['k'.repeat(255), `"${'k'.repeat(255)}"`],
  ])('the key %.20j is sent as a structured string', async (idempotencyKey, header) => {
    const { client, requests } = storeThatAnswers(JSON.stringify(orderBody()));
    await client.createOrder(ORDER, { idempotencyKey });
    expect(requests[0]?.headers.get('idempotency-key')).toBe(header);
  });

  test('an id stays one segment, whatever it holds', async () => {
    const { client, requests } = storeThatAnswers('{}');
    await client.order('../../v3/currencies?a#b');
    await client.qr('a/../../b');
    expect(requests.map(({ url }) => url)).toEqual([
      'https://shop.example/prefix/v5/orders/..%2F..%2Fv3%2Fcurrencies%3Fa%23b',
      'https://shop.example/prefix/v3/qrs/a%2F..%2F..%2Fb',
    ]);
  });
});

describe('a wrong setup is a value, and nothing is sent', () => {
  test.each<[string, Partial<ClientOptions>, (client: Client) => Promise<Result<unknown>>]>([
    ['a base URL that is none', { baseUrl: 'shop.example' }, (client) => client.currencies()],
    ['another scheme', { baseUrl: 'ftp://shop.example' }, (client) => client.currencies()],
    ['a query in the base URL', { baseUrl: 'https://shop.example/?a' }, (client) => client.currencies()],
    ['a fragment in the base URL', { baseUrl: 'https://shop.example/#' }, (client) => client.currencies()],
    ['a user in the base URL', { baseUrl: 'https://a@shop.example' }, (client) => client.currencies()],
    ['a password in the base URL', { baseUrl: 'https://:b@shop.example' }, (client) => client.currencies()],
    ['a relative base URL outside of a page', { baseUrl: '/shop' }, (client) => client.currencies()],
    ['a partner with a line break', { partner: 'a\r\nb' }, (client) => client.currencies()],
    ['an empty token', { bearer: '' }, (client) => client.currencies()],
    ['a time-out of nothing', { timeoutMs: 0 }, (client) => client.currencies()],
    ['a time-out beyond timers', { timeoutMs: Infinity }, (client) => client.currencies()],
    ['an id that is empty', {}, (client) => client.order('')],
    ['an id of one dot', {}, (client) => client.order('.')],
    ['an id of two dots', {}, (client) => client.qr('..')],
    ['a country of two dots', {}, (client) => client.products({ country_code: '..' })],
    ['a key that is empty', {}, (client) => client.createOrder(ORDER, { idempotencyKey: '' })],
    ['a key that is too long', {}, (client) => client.createOrder(ORDER, { idempotencyKey: 'k'.repeat(256) })],
    ['a key with a line break', {}, (client) => client.createOrder(ORDER, { idempotencyKey: 'a\nb' })],
    ['an order that is no JSON', {}, (client) => client.validate({ ...ORDER, lang: 1n as unknown as string })],
  ])('%s', async (_name, options, call) => {
    const { client, requests } = storeThatAnswers('[]', {}, options);
    const error = errorOf(await call(client));
    expect(error).toEqual({ kind: 'setup', message: expect.stringMatching(/^nothing was sent: /) });
    expect(requests).toHaveLength(0);
  });

  test.each(['', '/shop', '/shop/'])('in a page the base URL may be %j', async (baseUrl) => {
    const seen: string[] = [];
    vi.stubGlobal('location', { href: 'https://page.example/cart' });
    const fetch: typeof globalThis.fetch = async (input) => {
      seen.push(String(input));
      return new Response('[]');
    };
    expect((await createClient({ baseUrl, fetch }).currencies()).ok).toBe(true);
    expect(seen).toEqual([`${baseUrl.replace(/\/$/, '')}/v3/currencies`]);
  });

  test.each(['//evil.example', '/\\evil.example', '/\t/evil.example'])('%j is no base URL, in a page neither', async (baseUrl) => {
    vi.stubGlobal('location', { href: 'https://page.example/cart' });
    const { client, requests } = storeThatAnswers('[]', {}, { baseUrl });
    expect(errorOf(await client.currencies()).kind).toBe('setup');
    expect(requests).toHaveLength(0);
  });
});

describe('a refusal', () => {
  const refuse = async (status: number, body: unknown, headers: Record<string, string> = {}) => {
    const { client } = storeThatAnswers(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
    return errorOf(await client.order(ORDER_ID));
  };

  test('has all problems, and the first as its code', async () => {
    const problems = [{ problem: 'OUT_OF_STOCK' }, { problem: 'PRODUCT_COUNT_EXCEEDED', moreDetails: { maximum: 10 } }];
    expect(await refuse(422, { status: 422, detail: 'OUT_OF_STOCK', message: 'OUT_OF_STOCK', problems })).toEqual({
      kind: 'refused', status: 422, code: 'OUT_OF_STOCK', problems,
      message: 'the store refused with status 422: OUT_OF_STOCK',
    });
  });

  test('of a suspended coin has its code and details on top', async () => {
    const body = { status: '422', detail: 'SUSPENDED_COIN', problems: null, moreDetails: ['USDC'] };
    expect(await refuse(422, body)).toMatchObject({
      kind: 'refused', code: 'SUSPENDED_COIN', problems: [], moreDetails: ['USDC'],
    });
  });

  test.each([
    ['7', 7],
    ['0', 0],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['soon', undefined],
  ])('with Retry-After: %s waits %s s', async (header, seconds) => {
    const error = await refuse(429, { detail: 'TOO_MANY_REQUESTS' }, { 'retry-after': header });
    expect(error).toMatchObject({ kind: 'refused', status: 429, code: 'TOO_MANY_REQUESTS' });
    expect('retryAfterS' in error ? error.retryAfterS : undefined).toBe(seconds);
  });

  test('adds the sentence of the store, unless it shows an id, an address or a person', async () => {
    const message = async (sentence: string) => (await refuse(400, { detail: 'BAD_REQUEST', message: sentence })).message;
    expect(await message('lang: must be a string')).toBe('the store refused with status 400: BAD_REQUEST (lang: must be a string)');
    for (const sentence of [`order ${ORDER_ID} is odd`, 'see https://a.example', 'a@b.example', 'x'.repeat(201), 'a\nb']) {
      expect(await message(sentence)).toBe('the store refused with status 400: BAD_REQUEST');
    }
  });

  test.each([
    [503, '<html>busy</html>'],
    [500, {}],
    [404, { detail: 'no such thing' }],
    [403, 'null'],
  ])('with status %s and no code is a status', async (status, body) => {
    expect(await refuse(status, body)).toMatchObject({ kind: 'status', status });
  });
});

describe('an answer', () => {
  test('that does not fit the contract names the place and not the value', async () => {
    const deliverable = { denomination: '25 USD', brand_name: 'Steam', country_code: 'US', pin_code: ['ABCD-SECRET'] };
    const deliveries = [{ id: 'd-1', delivery_state: 'Succeeded', deliverable }];
    const { client } = storeThatAnswers(JSON.stringify(orderBody({ deliveries })));
    const error = errorOf(await client.order(ORDER_ID));
    expect(error).toEqual({ kind: 'decode', message: expect.stringContaining('deliveries.0.deliverable.pin_code') });
    expect(error.message).not.toContain('SECRET');
  });

  test('that is a page instead of an image is no QR code', async () => {
    const { client } = storeThatAnswers('<html></html>');
    expect(errorOf(await client.qr(ORDER_ID)).kind).toBe('decode');
  });

  test('has types that are told apart by ok and kind', () => {
    expectTypeOf<Awaited<ReturnType<Client['order']>>>().toEqualTypeOf<Result<Order>>();
    const advice = (error: ClientError): string => {
      switch (error.kind) {
        case 'refused': return error.code;
        case 'status': return String(error.status);
        case 'setup': case 'transport': case 'aborted': case 'decode': case 'tooLarge': return error.message;
      }
    };
    expect(advice({ kind: 'aborted', message: 'ended' })).toBe('ended');
  });
});
