/**
 * The typed client of the store API: one call per endpoint of the contract's section 3.
 *
 * No call ever throws or rejects: what goes wrong is a value. Nothing is retried here, because only the caller knows
 * whether an order may be placed twice; `createOrder` takes an idempotency key for that. Pages, servers and `pollOrder`
 * call it; following an order over its stream is in `stream`.
 */
import * as v from 'valibot';

import type { Effect, Result } from './errors.js';
import { decodeError, failure, setupError } from './errors.js';
import { CALL_TIMEOUT_MS, exchange, parseJson } from './exchange.js';
import type { OrderRequest } from './order-request.js';
import { pathSegment } from './path.js';
import type { Brands, Country, Currency, PaymentVia, Price, ProductGroup } from './schema/catalogue.js';
import {
  brandsSchema,
  countriesSchema,
  currenciesSchema,
  paymentViasSchema,
  priceSchema,
  productGroupsSchema,
} from './schema/catalogue.js';
import type { Order } from './schema/order.js';
import { orderSchema } from './schema/order.js';
import type { Validation } from './schema/validation.js';
import { validationSchema } from './schema/validation.js';

export interface ClientOptions {
  /** Where the store is, such as `https://shop.example/prefix`; in a page also `""` or `/prefix` on its own origin. */
  readonly baseUrl: string;
  /** `X-Cr-Application`: the partner's id. */
  readonly partner?: string | undefined;
  /** `X-Cr-Version`: the version of the calling program. */
  readonly version?: string | undefined;
  /** The token of `Authorization: Bearer`, for a signed-in customer. */
  readonly bearer?: string | undefined;
  /** Instead of the global one. */
  readonly fetch?: typeof fetch | undefined;
  /** The longest a call may take, in milliseconds; 10,000 if absent. */
  readonly timeoutMs?: number | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** More headers of this call, such as the `X-Forwarded-For` of the visitor that a server calls for. Never the client's own. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface CreateOrderOptions extends CallOptions {
  /** Printable ASCII, 1 to 255 characters. With the same key and order, a second call answers with the first's order. */
  readonly idempotencyKey?: string | undefined;
}

export interface BrandsQuery {
  /** Uppercase alpha-2. */
  readonly country_code: string;
  readonly promo_code?: string | undefined;
}

export interface HomepageQuery {
  /** Uppercase alpha-2. */
  readonly country_code: string;
}

export interface SearchQuery {
  /** Uppercase alpha-2. */
  readonly country_code: string;
  readonly q: string;
  readonly lang?: string | undefined;
}

/** One of `family_name` and `brand_name` is needed. */
export interface ProductsQuery {
  /** Uppercase alpha-2. */
  readonly country_code: string;
  readonly family_name?: string | undefined;
  readonly brand_name?: string | undefined;
  /** The coin of the prices; the store takes BTC without it. */
  readonly coin?: string | undefined;
  /** The name of a payment via. */
  readonly payment_method?: string | undefined;
  readonly lang?: string | undefined;
  readonly promo_code?: string | undefined;
}

export interface PriceQuery {
  readonly brand_name: string;
  /** Uppercase alpha-2. */
  readonly country_code: string;
  /** A decimal in the product's own currency. */
  readonly face_value: string;
  readonly coin: string;
  readonly promo_code?: string | undefined;
}

/** A client of one store. Its calls do not need `this`. */
export interface Client {
  /** The payment vias with their coins and networks. Contract, section 3.1. */
  paymentVias(options?: CallOptions): Promise<Result<PaymentVia[]>>;
  /** The coins. Contract, section 3.2. */
  currencies(options?: CallOptions): Promise<Result<Currency[]>>;
  /** The brands of a country. Contract, section 3.3. */
  brands(query: BrandsQuery, options?: CallOptions): Promise<Result<Brands>>;
  /** The curated feed of a country. Contract, section 3.4. */
  homepage(query: HomepageQuery, options?: CallOptions): Promise<Result<Brands>>;
  /** Brands and products that fit a text. Contract, section 3.5. */
  search(query: SearchQuery, options?: CallOptions): Promise<Result<ProductGroup[]>>;
  /** The products of a brand or a family. Contract, section 3.6. */
  products(query: ProductsQuery, options?: CallOptions): Promise<Result<ProductGroup[]>>;
  /** The price of one face value. Contract, section 3.7. */
  price(query: PriceQuery, options?: CallOptions): Promise<Result<Price>>;
  /** What would happen to an order; creates nothing. Contract, section 3.8. */
  validate(order: OrderRequest, options?: CallOptions): Promise<Result<Validation>>;
  /** Places an order. Contract, section 3.9. */
  createOrder(order: OrderRequest, options?: CreateOrderOptions): Promise<Result<Order>>;
  /** An order as it is now. Contract, section 3.10. */
  order(orderId: string, options?: CallOptions): Promise<Result<Order>>;
  /** The PNG of an order's payment URI. Contract, section 3.12. */
  qr(orderId: string, options?: CallOptions): Promise<Result<Uint8Array<ArrayBuffer>>>;
  /** The countries that can be sold to. Contract, section 3.14. */
  availableCountries(options?: CallOptions): Promise<Result<Country[]>>;
}

/** What `createClient` made of its options, or why they cannot be used. */
type Setup =
  | { readonly ok: true; readonly base: string; readonly headers: Readonly<Record<string, string>>; readonly timeoutMs: number }
  | { readonly ok: false; readonly problem: string };

interface Wanted {
  readonly name: string;
  readonly segments: readonly string[];
  /** Texts of the path that must not show up in an error. */
  readonly ids?: readonly string[];
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly accept?: string;
  readonly order?: OrderRequest;
  readonly key?: string | undefined;
  readonly effect?: Effect;
  readonly options: CallOptions | undefined;
}

const PRINTABLE = /^[ -~]+$/;
const LONGEST_KEY = 255;
/** Beyond it, a timer of JavaScript fires at once. */
const LONGEST_TIMER_MS = 2_147_483_647;
const PNG = [0x89, 0x50, 0x4e, 0x47] as const;

/** A client of the store at `baseUrl`. Options that cannot be used make every call answer with a `setup` error. */
export function createClient(options: ClientOptions): Client {
  const setup = readSetup(options);
  const bytes = (wanted: Wanted) => send(setup, options.fetch, wanted);
  const get = <T>(schema: v.GenericSchema<unknown, T>, wanted: Wanted) => decoded(schema, wanted, bytes(wanted));
  return {
    paymentVias: (options) => get(paymentViasSchema, { name: 'paymentVias', segments: ['v3', 'payment_vias'], options }),
    currencies: (options) => get(currenciesSchema, { name: 'currencies', segments: ['v3', 'currencies'], options }),
    brands: ({ country_code, promo_code }, options) =>
      get(brandsSchema, { name: 'brands', segments: ['v2', 'brands'], query: { country_code, promo_code }, options }),
    homepage: ({ country_code }, options) =>
      get(brandsSchema, { name: 'homepage', segments: ['v2', 'homepage'], query: { country_code }, options }),
    search: ({ country_code, q, lang }, options) =>
      get(productGroupsSchema, { name: 'search', segments: ['v2', 'search', country_code], query: { q, lang }, options }),
    products: ({ country_code, ...query }, options) => {
      const segments = ['v5', 'products', 'country', country_code];
      return get(productGroupsSchema, { name: 'products', segments, query, options });
    },
    price: (query, options) =>
      get(priceSchema, { name: 'price', segments: ['v4', 'products', 'price'], query: { ...query }, options }),
    validate: (order, options) =>
      get(validationSchema, { name: 'validate', segments: ['v5', 'orders', 'validations'], order, options }),
    createOrder: (order, options) => {
      const key = options?.idempotencyKey;
      const segments = ['v5', 'orders'];
      return get(orderSchema, { name: 'createOrder', segments, order, key, effect: 'places', options });
    },
    order: (orderId, options) =>
      get(orderSchema, { name: 'order', segments: ['v5', 'orders', orderId], ids: [orderId], options }),
    qr: async (orderId, options) => {
      const segments = ['v3', 'qrs', orderId];
      const result = await bytes({ name: 'qr', segments, ids: [orderId], accept: 'image/png', options });
      // A page that answers every address would otherwise be shown as a broken image.
      if (result.ok && PNG.some((byte, at) => result.value[at] !== byte)) {
        return failure(decodeError('qr', 'no PNG', 'reads'));
      }
      return result;
    },
    availableCountries: (options) =>
      get(countriesSchema, { name: 'availableCountries', segments: ['api', 'available-countries'], options }),
  };
}

async function send(
  setup: Setup,
  fetch: ClientOptions['fetch'],
  wanted: Wanted,
): Promise<Result<Uint8Array<ArrayBuffer>>> {
  if (!setup.ok) return failure(setupError(setup.problem));
  const path = readPath(wanted);
  if (path === undefined) return failure(setupError('an id or a country code is empty, `.`, `..` or no text'));
  const key = wanted.key === undefined ? {} : keyHeader(wanted.key);
  if (key === undefined) return failure(setupError('the idempotency key must be 1 to 255 characters of printable ASCII'));
  const body = wanted.order === undefined ? {} : writeBody(wanted.order);
  if (body === undefined) return failure(setupError('the order cannot be written as JSON'));
  return exchange({
    method: wanted.order === undefined ? 'GET' : 'POST',
    url: setup.base + path,
    // The content type only beside a body: on GET it would cost a browser a second request to ask for permission.
    headers: {
      ...lowerCased(wanted.options?.headers ?? {}),
      ...setup.headers,
      accept: wanted.accept ?? 'application/json',
      ...('body' in body ? { 'content-type': 'application/json' } : {}),
      ...key,
    },
    ...body,
    effect: wanted.effect ?? 'reads',
    ids: wanted.ids ?? [],
    timeoutMs: setup.timeoutMs,
    signal: wanted.options?.signal,
    fetch,
  });
}

async function decoded<T>(
  schema: v.GenericSchema<unknown, T>,
  wanted: Wanted,
  bytes: Promise<Result<Uint8Array>>,
): Promise<Result<T>> {
  const result = await bytes;
  if (!result.ok) return result;
  const effect = wanted.effect ?? 'reads';
  const json = parseJson(result.value);
  if (json === undefined) return failure(decodeError(wanted.name, 'no JSON', effect));
  const read = v.safeParse(schema, json, { abortEarly: true });
  if (read.success) return { ok: true, value: read.output };
  // The place and never the value, which may be a code that opens a gift card.
  const place = v.getDotPath(read.issues[0]) ?? 'the whole';
  return failure(decodeError(wanted.name, `see ${place}`, effect));
}

function readSetup(options: ClientOptions): Setup {
  const { partner, version, bearer, timeoutMs = CALL_TIMEOUT_MS } = options;
  const base = readBase(options.baseUrl);
  if (base === undefined) {
    const problem = 'the base URL must begin with http:// or https://, or in a page be empty or begin with one slash';
    return { ok: false, problem: `${problem}; it has no user, query or fragment` };
  }
  if (!(timeoutMs > 0 && timeoutMs <= LONGEST_TIMER_MS)) {
    return { ok: false, problem: 'timeoutMs must be a count of milliseconds above 0 that a timer can take' };
  }
  const headers: Record<string, string> = {};
  for (const [field, header, value] of [
    ['partner', 'x-cr-application', partner],
    ['version', 'x-cr-version', version],
    ['bearer', 'authorization', bearer && `Bearer ${bearer}`],
  ] as const) {
    if (value === undefined) continue;
    if (!PRINTABLE.test(value)) return { ok: false, problem: `\`${field}\` must be printable ASCII` };
    headers[header] = value;
  }
  return { ok: true, base, headers, timeoutMs };
}

/** The base without a slash at its end, or undefined if it cannot be one. */
function readBase(baseUrl: string): string | undefined {
  if (/^(?:\/(?![/\\])[^\s\\?#]*)?$/.test(baseUrl)) {
    return typeof location === 'undefined' ? undefined : baseUrl.replace(/\/+$/, '');
  }
  let url: URL;
  try {
    url = new URL(baseUrl);
  } catch {
    return undefined;
  }
  const usable = /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && !/[?#]/.test(baseUrl);
  return usable ? url.href.replace(/\/+$/, '') : undefined;
}

/** Else a name in other letters would stand beside the client's own. */
function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function readPath({ segments, query }: Wanted): string | undefined {
  const escaped = segments.map(pathSegment);
  if (escaped.includes(undefined)) return undefined;
  const pairs = Object.entries(query ?? {}).filter((pair): pair is [string, string] => pair[1] !== undefined);
  const search = pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`;
  return `/${escaped.join('/')}${search}`;
}

/** The key as a Structured-Field string, the form that the draft of the header asks for: quoted, `"` and `\` escaped. */
function keyHeader(key: string): Record<string, string> | undefined {
  if (key.length > LONGEST_KEY || !PRINTABLE.test(key)) return undefined;
  return { 'idempotency-key': `"${key.replace(/["\\]/g, '\\$&')}"` };
}

/** Fails on what the types forbid and JavaScript allows: a BigInt, or an object that holds itself. */
function writeBody(order: OrderRequest): { readonly body: string } | undefined {
  try {
    return { body: JSON.stringify(order) };
  } catch {
    return undefined;
  }
}
