/**
 * An order as the store shows it (store contract, sections 3.9, 3.10, 4.1 to 4.3).
 *
 * Required is only what every order of the contract has; unknown fields are kept and unknown state words accepted. An
 * order holds codes that are worth money, and who knows its id can read them: neither belongs into a log. The client and
 * the stream read orders with this; it must stay apart from the catalogue, which the stream does not need.
 */
import * as v from 'valibot';

import { numberOrText, optionalText, optionalTextOrNumber, textOrNumber, word } from './wire.js';

/** Contract, section 4.1. */
export type OrderState =
  | 'Created'
  | 'WaitingForPayment'
  | 'PaymentStarted'
  | 'PartialPaymentStarted'
  | 'PaymentReceived'
  | 'WaitingForDelivery'
  | 'WaitingForManualAction'
  | 'Done'
  | 'Expired'
  | 'Canceled'
  | 'PaymentFailed'
  | 'PaymentSetupFailed'
  | 'Refunded';

/** Contract, section 4.2. */
export type PaymentState =
  | 'WalletCreated'
  | 'PaymentRequested'
  | 'PaymentReceived'
  | 'Expired'
  | 'ExpiredAfterPaymentDetection';

/** Contract, section 4.3. Sources disagree on the word for a delivered line, so there are three. */
export type DeliveryState =
  | 'Created'
  | 'WaitingForPayment'
  | 'WaitingForDelivery'
  | 'Succeeded'
  | 'Completed'
  | 'Done'
  | 'Failed';

/** Decides whether a beneficiary is an e-mail address or a phone number. Contract, section 3.6. */
export type DeliveryType = 'by_email' | 'by_phone';

/** What a line delivers. The codes are absent until the order is done. */
export const deliverableSchema = v.looseObject({
  denomination: v.string(),
  localized_denomination: optionalText,
  family: optionalText,
  brand_name: v.string(),
  country_code: v.string(),
  beneficiary_account: optionalText,
  delivery_type: v.nullish(word<DeliveryType>()),
  points: optionalTextOrNumber,
  coin_amount: optionalText,
  original_price: optionalText,
  currency_code: optionalText,
  product_value: v.nullish(numberOrText),
  pin_code: optionalTextOrNumber,
  pin_serial: optionalTextOrNumber,
  security_code: optionalTextOrNumber,
  barcode_image_url: optionalText,
  qr_image_url: optionalText,
  redeem_instructions: optionalText,
  how_to_redeem: optionalText,
  operator_reference: optionalTextOrNumber,
  error_description: optionalText,
  failure_reason: optionalText,
});

/** One line of an order or of a validation. */
export const deliverySchema = v.looseObject({
  id: v.string(),
  delivery_state: word<DeliveryState>(),
  kind: optionalText,
  deliverable: deliverableSchema,
});

/** An order. Amounts are decimal strings, times are unix seconds as strings; there is no expiry field. */
export const orderSchema = v.looseObject({
  order_id: v.string(),
  order_state: word<OrderState>(),
  payment_state: word<PaymentState>(),
  created_at: textOrNumber,
  updated_at: optionalTextOrNumber,
  payment_requested_at: optionalTextOrNumber,
  coin: v.string(),
  network: v.string(),
  coin_amount: v.string(),
  original_coin_amount: optionalText,
  original_price: v.string(),
  sent_coin_amount: v.string(),
  received_amount: optionalText,
  wallet_address: optionalText,
  qr_text: optionalText,
  qr_url: optionalText,
  payment_via: v.string(),
  payment_method: v.string(),
  payment_method_protocol: v.string(),
  payment_id: v.string(),
  payment_value: numberOrText,
  is_payment_processor_external: v.boolean(),
  user: v.looseObject({ email: v.string() }),
  reference_id: optionalText,
  refund: v.nullish(
    v.looseObject({
      amount: textOrNumber,
      currency: v.string(),
      reason: optionalText,
    }),
  ),
  refund_wallet_address: optionalText,
  pin_code: optionalTextOrNumber,
  deliveries: v.array(deliverySchema),
});

export type Deliverable = v.InferOutput<typeof deliverableSchema>;
export type Delivery = v.InferOutput<typeof deliverySchema>;
export type Order = v.InferOutput<typeof orderSchema>;
