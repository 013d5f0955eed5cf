/**
 * Answers about what is for sale and how it can be paid (store contract, sections 3.1 to 3.7 and 3.14).
 *
 * Only the client reads them; no price is computed here. Null lists are read as empty lists and the ends of a face value
 * in any form that was seen. The numbers of a range are JSON numbers by contract, all amounts are decimal strings.
 */
import * as v from 'valibot';

import type { DeliveryType } from './order.js';
import { list, numberOrText, optionalText, optionalTextOrNumber, textOrNumber, word } from './wire.js';

const text = v.string();
const flag = v.boolean();
const texts = list(text);

/** `giftcard`, `mobile_recharge` and the like; eSIM brands are `mobile_recharge`. */
export type ProductKind = 'giftcard' | 'mobile_recharge' | 'nft_giftcard';

/** The contract or mint of a token. */
export const smartContractSchema = v.looseObject({
  engine: text,
  symbol: text,
  decimals: v.number(),
  address: text,
});

/** A network of a coin. `name` is the exact string to send back as `payment.network`. */
export const viaNetworkSchema = v.looseObject({
  name: text,
  is_suspended: v.nullish(flag, false),
  chain_id: v.nullish(v.number()),
  base_token: optionalText,
  threshold: text,
  estimated_transfer_cost: optionalText,
  smart_contract_engine: optionalText,
  smart_contract: v.nullish(smartContractSchema),
  logo_url: optionalText,
});

/** A coin of a payment via. */
export const viaCurrencySchema = v.looseObject({
  name: text,
  is_suspended: flag,
  threshold: optionalText,
  logo_url: optionalText,
  networks: v.array(viaNetworkSchema),
});

/** A way of paying. One that does not say whether it is available is, as for the contract's other clients. */
export const paymentViaSchema = v.looseObject({
  name: text,
  available: v.nullish(flag, true),
  logo_url: optionalText,
  currencies: v.array(viaCurrencySchema),
});

/** A coin. */
export const currencySchema = v.looseObject({
  name: text,
  symbol: optionalText,
  logo_url: optionalText,
  is_suspended: flag,
});

/** A brand in one country. `min` and `max` are labels for people, such as `$5`. */
export const brandSchema = v.looseObject({
  brand_id: text,
  brand: text,
  family: text,
  kind: word<ProductKind>(),
  category: text,
  additional_categories: texts,
  country_code: text,
  min: optionalText,
  max: optionalText,
  is_out_of_stock: flag,
  product_type: text,
  brand_tags: texts,
  bg_color: optionalText,
  logo_url: optionalText,
  logo_base_url: optionalText,
  default_denomination: optionalText,
});

const brands = list(brandSchema);

/** A group of brands. Where `category` is null, clients show `kind`. */
export const brandCategorySchema = v.looseObject({
  kind: word<ProductKind>(),
  category: optionalText,
  popular_brands: brands,
  brands,
});

/** The brands of a country, and the same envelope for the curated feed. */
export const brandsSchema = v.looseObject({
  country_code: text,
  last_user_purchases: brands,
  suggestions: brands,
  categories: v.array(brandCategorySchema),
  all_brands: brands,
  popular_brands: brands,
});

/** The values that a range product can be bought for. */
export const rangeSchema = v.looseObject({
  min: v.number(),
  max: v.number(),
  currency: text,
  step_size: v.number(),
  default: textOrNumber,
});

/** A decimal string; one fixture shows an object with an `amount` instead. */
const faceText = v.nullish(
  v.union([
    textOrNumber,
    v.pipe(
      v.looseObject({ amount: textOrNumber }),
      v.transform((form) => form.amount),
    ),
  ]),
);

/** What a product is worth in its own currency: `price` of a fixed one, `min` and `max` of a range. */
export const faceValueSchema = v.looseObject({
  currency_code: text,
  amount: v.looseObject({
    type: word<'fixed' | 'range'>(),
    price: faceText,
    min: faceText,
    max: faceText,
  }),
});

const quantitySchema = v.looseObject({ amount: numberOrText });

/** What an eSIM or a bundle holds; an amount of -1 is unlimited. */
export const benefitSchema = v.looseObject({
  type: text,
  unit_type: optionalText,
  unit: optionalText,
  amount: v.looseObject({
    base: quantitySchema,
    total_including_tax: v.nullish(quantitySchema),
  }),
});

/** A product: one denomination, or a range of values. `denomination` is sent back letter by letter. */
export const productSchema = v.looseObject({
  product_id: text,
  is_dynamic: flag,
  denomination: optionalText,
  localized_denomination: optionalText,
  range: v.nullish(rangeSchema),
  coin: text,
  coin_amount: optionalText,
  original_coin_amount: optionalText,
  payment_method: text,
  delivery_type: word<DeliveryType>(),
  product_type: text,
  points: optionalTextOrNumber,
  face_value: faceValueSchema,
  benefits: list(benefitSchema),
});

/** Texts about a brand, in one language. `markup` says how they are written, such as `html`. */
export const richDescriptionSchema = v.looseObject({
  markup: optionalText,
  description: optionalText,
  how_to_redeem: optionalText,
  term_and_conditions: optionalText,
  note: optionalText,
  redeem_geo: optionalText,
  locale: optionalText,
  country_code: optionalText,
  brand_url: optionalText,
  brand_tagline: optionalText,
  brand_use_case: optionalText,
});

/** A brand with its products. */
export const productGroupSchema = v.looseObject({
  country_code: text,
  kind: word<ProductKind>(),
  category: text,
  additional_categories: texts,
  default_denomination: v.nullish(text, ''),
  brand_id: text,
  brand: text,
  family: text,
  is_out_of_stock: flag,
  bg_color: optionalText,
  logo_url: optionalText,
  logo_base_url: optionalText,
  product_tc: v.nullish(text, ''),
  redeem_method: texts,
  rich_description: v.nullish(richDescriptionSchema),
  products: list(productSchema),
});

/** The price of one face value. */
export const priceSchema = v.looseObject({
  product_id: text,
  is_dynamic: flag,
  range: v.nullish(rangeSchema),
  coin: text,
  coin_amount: text,
  original_coin_amount: text,
  payment_method: text,
  delivery_type: word<DeliveryType>(),
  points: textOrNumber,
  product_type: text,
});

/** A country that can be sold to. */
export const countrySchema = v.looseObject({ code: text, name: text });

export const paymentViasSchema = v.array(paymentViaSchema);
export const currenciesSchema = v.array(currencySchema);
export const productGroupsSchema = v.array(productGroupSchema);
export const countriesSchema = v.array(countrySchema);

export type SmartContract = v.InferOutput<typeof smartContractSchema>;
export type ViaNetwork = v.InferOutput<typeof viaNetworkSchema>;
export type ViaCurrency = v.InferOutput<typeof viaCurrencySchema>;
export type PaymentVia = v.InferOutput<typeof paymentViaSchema>;
export type Currency = v.InferOutput<typeof currencySchema>;
export type Brand = v.InferOutput<typeof brandSchema>;
export type BrandCategory = v.InferOutput<typeof brandCategorySchema>;
export type Brands = v.InferOutput<typeof brandsSchema>;
export type Range = v.InferOutput<typeof rangeSchema>;
export type FaceValue = v.InferOutput<typeof faceValueSchema>;
export type Benefit = v.InferOutput<typeof benefitSchema>;
export type Product = v.InferOutput<typeof productSchema>;
export type RichDescription = v.InferOutput<typeof richDescriptionSchema>;
export type ProductGroup = v.InferOutput<typeof productGroupSchema>;
export type Price = v.InferOutput<typeof priceSchema>;
export type Country = v.InferOutput<typeof countrySchema>;
