/**
 * The proxy route of a partner's own app, `GET /api/orders/{orderId}/subscribe` (store contract, section 4.5): it keeps the
 * partner's headers on the server and passes the stream through as it comes.
 *
 * It must never buffer, never follow a redirect and never show the partner's id or what upstream said about a failure. It
 * is a plain fetch handler, so the route file of an app exports it as it is.
 */

export interface OrderStreamProxyOptions {
  /** Where the store is, such as `https://shop.example`. */
  readonly apiUrl: string;
  /** `X-Cr-Application`: the partner's id. */
  readonly partner: string;
  /** `X-Cr-Version`: the version of the app. */
  readonly version?: string | undefined;
  /** The `User-Agent` for upstream; the visitor's if absent. */
  readonly userAgent?: string | undefined;
  /** More headers for upstream, such as what identifies a signed-in visitor. They replace what the visitor sent, never the partner's own. */
  readonly headers?: ((request: Request) => Record<string, string> | Promise<Record<string, string>>) | undefined;
  /** Instead of the global one. */
  readonly fetch?: typeof fetch | undefined;
  /** The longest wait for upstream's headers, in milliseconds; 10,000 if absent. The stream itself has no limit. */
  readonly connectTimeoutMs?: number | undefined;
}

interface OrderParams {
  readonly orderId: string;
}

/**
 * Fits routes whose params are a promise and older ones where they are not. The promise comes last, because that is the
 * form which a framework's own check of route types takes from a function with several.
 */
export interface OrderStreamHandler {
  (request: Request, context: { readonly params: OrderParams }): Promise<Response>;
  (request: Request, context: { params: Promise<OrderParams> }): Promise<Response>;
}

/** Of what the visitor sent, this is passed on. */
const PASSED_ON = ['authorization', 'x-forwarded-for', 'x-country-iso-code'];

const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  connection: 'keep-alive',
  'x-accel-buffering': 'no',
};

/** A handler for the route file. Options that cannot be used end in a 502, like everything else that keeps upstream away. */
export function orderStreamProxy(options: OrderStreamProxyOptions): OrderStreamHandler {
  return async (request: Request, context: { readonly params: OrderParams | Promise<OrderParams> }) => {
    const { orderId } = await context.params;
    if (!isOrderId(orderId)) return refusal(404, 'No such order');
    const upstream = await connect(options, request, orderId);
    if (upstream === undefined) return refusal(502, 'Failed to connect to upstream stream');
    const isStream = upstream.ok && upstream.body !== null && mayBeEventStream(upstream);
    // Without it the connection to upstream stays taken until its body has been collected. Frameworks answer HEAD by GET.
    if (!isStream || request.method === 'HEAD') upstream.body?.cancel().catch(() => undefined);
    if (!isStream) {
      const isError = upstream.status >= 400 && upstream.status <= 599;
      return refusal(isError ? upstream.status : 502, 'Upstream returned an error');
    }
    if (request.method === 'HEAD') return new Response(null, { status: 200, headers: STREAM_HEADERS });
    // The body itself: it is read no faster than the visitor reads, and ends upstream when the visitor goes.
    return new Response(upstream.body, { status: 200, headers: STREAM_HEADERS });
  };
}

/** Stricter than what can be escaped: an id that needs escaping is none of ours, and upstream need not see it. */
function isOrderId(id: unknown): id is string {
  return typeof id === 'string' && /^[A-Za-z0-9._~-]{1,128}$/.test(id) && id !== '.' && id !== '..';
}

/** Upstream's answer as soon as its headers are there, or undefined if there is none. */
async function connect(
  options: OrderStreamProxyOptions,
  request: Request,
  orderId: string,
): Promise<Response | undefined> {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, options.connectTimeoutMs ?? 10_000);
  // Stays for as long as the stream does: the visitor's leaving ends it upstream.
  request.signal.addEventListener('abort', abort, { once: true });
  if (request.signal.aborted) abort();
  try {
    const send = options.fetch ?? globalThis.fetch;
    return await send(`${options.apiUrl.replace(/\/+$/, '')}/v5/orders/${orderId}/subscribe`, {
      headers: await upstreamHeaders(options, request),
      // Some frameworks keep answers of GET unless told otherwise, and this one has no end.
      cache: 'no-store',
      redirect: 'manual',
      signal: controller.signal,
    });
  } catch {
    // Refused, DNS, TLS, time-out, a setting that cannot be sent: the visitor can do nothing about any of them.
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** `Connection: keep-alive` is not among them: fetch sends it by itself, and setting it is an error in some runtimes. */
async function upstreamHeaders(options: OrderStreamProxyOptions, request: Request): Promise<Headers> {
  const headers = new Headers();
  const userAgent = options.userAgent ?? request.headers.get('user-agent');
  if (userAgent !== null) headers.set('user-agent', userAgent);
  for (const name of PASSED_ON) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  for (const [name, value] of Object.entries((await options.headers?.(request)) ?? {})) headers.set(name, value);
  headers.set('x-cr-application', options.partner);
  if (options.version !== undefined) headers.set('x-cr-version', options.version);
  headers.set('accept', 'text/event-stream');
  return headers;
}

/** A page instead of a stream would be handed to the visitor under the name of a stream. */
function mayBeEventStream(upstream: Response): boolean {
  const contentType = upstream.headers.get('content-type');
  return contentType === null || contentType.split(';', 1)[0]?.trim().toLowerCase() === 'text/event-stream';
}

function refusal(status: number, error: string): Response {
  return new Response(JSON.stringify({ error }), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  });
}
