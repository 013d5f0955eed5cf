/**
 * What is sent to validate or place an order: the flat form of the store contract's section 3.9.
 *
 * Types alone: whether an order can be placed is for the store to say, with codes. Callers build these.
 */

/** An order or a dry run. One to ten lines. */
export interface OrderRequest {
  /** The buyer's address once more, for a store that reads it here. */
  readonly email?: string | undefined;
  /** The buyer. */
  readonly user?: RequestUser | undefined;
  readonly payment: PaymentChoice;
  readonly deliveries: readonly RequestDelivery[];
  /** The language of texts, such as `en`. */
  readonly lang?: string | undefined;
  readonly acquisition?: Acquisition | undefined;
  /** A coupon. */
  readonly promo_code?: string | undefined;
  /** Where a refund may go; it cannot be set later. */
  readonly refund_wallet_address?: string | undefined;
}

export interface RequestUser {
  readonly email: string;
  readonly has_accepted_newsletter?: boolean | undefined;
}

/** Names of the payment vias, letter by letter. Without a network the store takes the first that is not suspended. */
export interface PaymentChoice {
  readonly type: 'via';
  readonly payment_via: string;
  readonly coin: string;
  readonly network?: string | undefined;
}

export interface RequestDelivery {
  /** The exact name of the brand. */
  readonly brand_name: string;
  /** Uppercase alpha-2. */
  readonly country_code: string;
  /** A listed denomination letter by letter, or `range`. */
  readonly denomination: string;
  /** The value of a range product as a decimal string, so that it never passes through a float. */
  readonly product_value?: string | undefined;
  /** An e-mail address, or a phone number in E.164 with `+`. */
  readonly beneficiary_account?: string | undefined;
}

/** Where the buyer came from. */
export interface Acquisition {
  readonly utm_source?: string | undefined;
}
