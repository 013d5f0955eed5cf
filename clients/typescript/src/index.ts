/**
 * `@kiosk/client`: the store API, typed. In the order of use: the client and its errors, following an order, the schemas
 * that answers are read with. The hooks and the proxy have entry points of their own, for they need peers or a server.
 */
export * from './client.js';
export type {
  AbortedError,
  ClientError,
  DecodeError,
  RefusedError,
  Result,
  SetupError,
  StatusError,
  TooLargeError,
  TransportError,
} from './errors.js';
export { CALL_TIMEOUT_MS, MAX_ANSWER_BYTES } from './exchange.js';
export * from './order-request.js';
export * from './problem-codes.js';

export * from './stream.js';
export * from './poll.js';

export * from './schema/order.js';
export * from './schema/validation.js';
export * from './schema/catalogue.js';
