/**
 * The codes that say why something was refused (store contract, sections 5.2 to 5.4).
 *
 * The spelling is that of the wire, `LESS_THEN` included. These lists must never be used to reject an answer: a code
 * that is newer than this package is passed on as it came. The schemas and callers that explain refusals read them.
 */

/** Reasons why an order cannot be placed: the 28 of section 5.2, then the later ones of section 5.3. */
export const orderProblemCodes = [
  'AMOUNT_LESS_THEN_MINIMUM_ALLOWED',
  'MAXIMUM_AMOUNT_PER_ORDER_EXCEEDED',
  'DAILY_SPENDING_LIMIT_EXCEEDED',
  'MONTHLY_SPENDING_LIMIT_EXCEEDED',
  'PRODUCT_COUNT_EXCEEDED',
  'MULTIPLE_LIMITED_PRODUCT_SAME_ORDER',
  'NOT_AVAILABLE_PRODUCT',
  'OUT_OF_STOCK',
  'NOT_ACTIVE',
  'INVALID_BENEFICIARY_ACCOUNT',
  'NOT_ALLOWED_PAYMENT_VIA',
  'UNSUPPORTED_PROTOCOL_COIN_COMBINATION',
  'LOGIN_REQUIRED',
  'COUPON_REQUIRES_LOGIN',
  'COUPON_NOT_FOUND',
  'COUPON_NOT_ACTIVE',
  'COUPON_ALREADY_SPENT',
  'COUPON_MAX_USAGE_REACHED',
  'COUPON_EXPIRED',
  'COUPON_BELOW_MIN_AMOUNT',
  'COUPON_NOT_VALID_FOR_USER',
  'COUPON_NOT_VALID_FOR_CATEGORY',
  'COUPON_NOT_VALID_FOR_KIND',
  'COUPON_NOT_VALID_FOR_BRAND',
  'COUPON_NOT_VALID_FOR_COUNTRY',
  'COUPON_NOT_VALID_FOR_STORE',
  'SUSPENDED_COIN',
  'SUSPENDED_NETWORK',
  'FULLNAME_MISSING',
  'KYC_MISSING',
  'KYC_PENDING',
  'VERIFICATION_REQUIRED',
  'INVALID_EMAIL_DOMAIN',
] as const;

/** What the server says about a request as such, whatever was to be ordered. */
export const httpErrorCodes = [
  'BAD_REQUEST',
  'UNAUTHORIZED',
  'NOT_FOUND',
  'TIMEOUT',
  'CONFLICT',
  'BODY_TOO_LARGE',
  'IDEMPOTENCY_KEY_REUSED',
  'TOO_MANY_REQUESTS',
  'TOO_MANY_UNPAID_ORDERS',
  'INTERNAL',
  'BUSY',
  'RATE_UNAVAILABLE',
  'NO_DEPOSIT_ADDRESS',
  // Of a gateway in front of the store.
  'URI_TOO_LONG',
  'UPSTREAM_UNREACHABLE',
  'UPSTREAM_TIMEOUT',
  'UPSTREAM_ERROR',
] as const;

export type OrderProblemCode = (typeof orderProblemCodes)[number];

export type HttpErrorCode = (typeof httpErrorCodes)[number];

/** Every known code, offered by the editor, and any other text: a store may be newer than this package. */
export type ProblemCode = OrderProblemCode | HttpErrorCode | (string & {});
