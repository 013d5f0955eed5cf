/**
 * What a call gives back when it gives no answer: errors as values, one closed union.
 *
 * No message holds an address or an order id, because the id of an order opens its codes and messages end up in logs. For
 * the same reason nothing is quoted from an answer but codes and a sentence that passes `hint`. The client makes these;
 * callers switch over `kind`.
 */
import type { ProblemCode } from './problem-codes.js';
import type { ErrorBody, Problem } from './schema/validation.js';

export type Result<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: ClientError };

/** Why a call gave no answer. `message` says what to do, for the people who run the calling program. */
export type ClientError =
  | SetupError
  | RefusedError
  | StatusError
  | TransportError
  | AbortedError
  | DecodeError
  | TooLargeError;

/** The call could not be made: a wrong base URL, identity, id or key. Nothing was sent. */
export interface SetupError {
  readonly kind: 'setup';
  readonly message: string;
}

/** The store refused and said why. */
export interface RefusedError {
  readonly kind: 'refused';
  readonly status: number;
  /** The first of `problems`, or the one code of an error that has no list. */
  readonly code: ProblemCode;
  readonly problems: readonly Problem[];
  /** Beside a code without a list, such as SUSPENDED_COIN. */
  readonly moreDetails?: unknown;
  /** Seconds to wait before the call is repeated. */
  readonly retryAfterS?: number;
  readonly message: string;
}

/** Neither 2xx nor a body that says why. Redirects are here: they are not followed, and browsers show them as 0. */
export interface StatusError {
  readonly kind: 'status';
  readonly status: number;
  /** Seconds to wait before the call is repeated. */
  readonly retryAfterS?: number;
  readonly message: string;
}

/** No answer in time, or only a part of one. */
export interface TransportError {
  readonly kind: 'transport';
  readonly message: string;
}

/** The caller's signal ended the call. */
export interface AbortedError {
  readonly kind: 'aborted';
  readonly message: string;
}

/** The answer is not what the contract describes. */
export interface DecodeError {
  readonly kind: 'decode';
  readonly message: string;
}

/** The answer is larger than any of the contract's. */
export interface TooLargeError {
  readonly kind: 'tooLarge';
  readonly message: string;
}

/** Whether a call that failed half-way may have changed something. */
export type Effect = 'reads' | 'places';

const CODE = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/;
const LONGEST_HINT = 200;

export function failure(error: ClientError): { readonly ok: false; readonly error: ClientError } {
  return { ok: false, error };
}

export function setupError(problem: string): SetupError {
  return { kind: 'setup', message: `nothing was sent: ${problem}` };
}

export function transportError(effect: Effect): TransportError {
  const message = 'the store could not be reached, or did not finish its answer in time; check the base URL and the network';
  return { kind: 'transport', message: message + perhapsPlaced(effect) };
}

export function abortedError(effect: Effect): AbortedError {
  return { kind: 'aborted', message: `the call was ended by its signal${perhapsPlaced(effect)}` };
}

export function decodeError(call: string, where: string, effect: Effect): DecodeError {
  const message = `the answer to ${call} does not follow the contract (${where}); is the base URL that of a store?`;
  return { kind: 'decode', message: message + perhapsPlaced(effect) };
}

export function tooLargeError(effect: Effect): TooLargeError {
  const message = 'the answer is larger than 8 MiB, which no answer of the contract is; check the base URL';
  return { kind: 'tooLarge', message: message + perhapsPlaced(effect) };
}

export function statusError(status: number, retryAfterS: number | undefined, effect: Effect): StatusError {
  const redirect = status === 0 || (status >= 300 && status < 400);
  const message = redirect
    ? 'the store answered with a redirect, which is not followed; use the base URL that it leads to'
    : `the store answered with status ${status} and no reason; check the base URL, or try later if it is 429 or 5xx`;
  return {
    kind: 'status',
    status,
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    message: status >= 500 ? message + perhapsPlaced(effect) : message,
  };
}

/** The refusal that a body tells of, or undefined if it tells of none. `ids` are texts that no message may repeat. */
export function refusedError(
  status: number,
  body: ErrorBody,
  retryAfterS: number | undefined,
  ids: readonly string[],
): RefusedError | undefined {
  const code = [body.problems[0]?.problem, body.detail, body.message].find((text) => text !== undefined && CODE.test(text));
  if (code === undefined) return undefined;
  return {
    kind: 'refused',
    status,
    code,
    problems: body.problems,
    ...(body.moreDetails === undefined ? {} : { moreDetails: body.moreDetails }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
    message: `the store refused with status ${status}: ${code}${hint(body.message, code, ids)}`,
  };
}

/** The store's own sentence, where it adds something and shows neither an address nor a person nor an id. */
function hint(sentence: string, code: string, ids: readonly string[]): string {
  const plain = sentence.length <= LONGEST_HINT && /^[ -~]+$/.test(sentence) && !/:\/\/|@/.test(sentence);
  const showable = plain && sentence !== code && !ids.some((id) => sentence.includes(id));
  return showable ? ` (${sentence})` : '';
}

function perhapsPlaced(effect: Effect): string {
  return effect === 'places'
    ? '. The order may have been placed: repeat the call with the same idempotency key; without a key, do not repeat it blindly'
    : '';
}
