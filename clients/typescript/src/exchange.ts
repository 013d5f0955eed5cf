/**
 * One bounded HTTP exchange: a request out, the bytes of a successful answer in.
 *
 * At most ten seconds, 8 MiB and no redirects, whoever answers. It never throws, never retries and never keeps an answer
 * of unknown length in memory beyond the limit. The client is its only caller and knows what the bytes mean.
 */
import * as v from 'valibot';

import type { Effect, Result } from './errors.js';
import { abortedError, failure, refusedError, setupError, statusError, tooLargeError, transportError } from './errors.js';
import { errorBodySchema } from './schema/validation.js';

/** The largest answer that is read, as in the Rust client: the brands of the largest country stay well below. */
export const MAX_ANSWER_BYTES = 8 * 1_048_576;

/** The longest a call may take, from the first byte sent to the last one read. */
export const CALL_TIMEOUT_MS = 10_000;

export interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly effect: Effect;
  /** Texts of the path that must not show up in an error. */
  readonly ids: readonly string[];
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly fetch: typeof fetch | undefined;
}

export async function exchange(call: Exchange): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const { signal, effect } = call;
  if (signal?.aborted) return failure(abortedError('reads'));
  const request = readRequest(call);
  if (request === undefined) return failure(setupError('a header of the call cannot be sent; check the identity'));
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, call.timeoutMs);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    // Called on its own: a browser's fetch refuses to be the method of another object.
    const send = call.fetch ?? globalThis.fetch;
    return await answer(call, await send(call.url, { ...request, signal: controller.signal }));
  } catch {
    // What was thrown may name the address, so it goes no further.
    return failure(signal?.aborted ? abortedError(effect) : transportError(effect));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    // Lets go of an answer that was not read to its end; for one that was, this does nothing.
    controller.abort();
  }
}

function readRequest(call: Exchange): RequestInit | undefined {
  try {
    return {
      method: call.method,
      headers: new Headers(call.headers),
      // An order is never an old one: some frameworks keep answers of GET unless told otherwise.
      cache: 'no-store',
      // Not 'error', which cannot be told from a broken network.
      redirect: 'manual',
      ...(call.body === undefined ? {} : { body: call.body }),
    };
  } catch {
    return undefined;
  }
}

async function answer(call: Exchange, response: Response): Promise<Result<Uint8Array<ArrayBuffer>>> {
  const bytes = await boundedBytes(response);
  if (bytes === undefined) return failure(tooLargeError(call.effect));
  if (response.ok) return { ok: true, value: bytes };
  const retryAfterS = readRetryAfter(response.headers.get('retry-after'), Date.now());
  const body = v.safeParse(errorBodySchema, parseJson(bytes));
  const refused = body.success ? refusedError(response.status, body.output, retryAfterS, call.ids) : undefined;
  return failure(refused ?? statusError(response.status, retryAfterS, call.effect));
}

/** The whole body, or undefined if it is larger than the limit. */
async function boundedBytes(response: Response): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (Number(response.headers.get('content-length')) > MAX_ANSWER_BYTES) return undefined;
  if (response.body === null) return new Uint8Array(0);
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > MAX_ANSWER_BYTES) return undefined;
    chunks.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** The bytes as JSON, or undefined. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** Seconds of a `Retry-After`, which is a count or a date. */
export function readRetryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d{1,9}$/.test(header)) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - nowMs) / 1_000));
}
