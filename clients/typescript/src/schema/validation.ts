/**
 * Answers that say what is wrong with an order: a validation, and the body of an error (store contract, sections 3.8, 5.1
 * and 5.4). The client reads both; nothing here decides what a code means.
 */
import * as v from 'valibot';

import type { ProblemCode } from '../problem-codes.js';
import { deliverySchema } from './order.js';
import { list, optionalText, word } from './wire.js';

/** One reason. What `moreDetails` holds depends on the code. */
export const problemSchema = v.looseObject({
  problem: word<ProblemCode>(),
  moreDetails: v.optional(v.unknown()),
});

/** The answer to a dry run. Problems come in a successful answer; an empty list means that it can be ordered. */
export const validationSchema = v.looseObject({
  coin: v.string(),
  coin_amount: optionalText,
  original_coin_amount: optionalText,
  coupon_code: optionalText,
  loyalty_summary: v.optional(v.unknown()),
  summary: v.nullish(
    v.looseObject({
      coin: optionalText,
      coin_amount: optionalText,
      original_coin_amount: optionalText,
    }),
  ),
  deliveries: list(deliverySchema),
  problems: list(problemSchema),
});

/** The body of an error. A field of another type is taken as absent: half a reason is better than none. */
export const errorBodySchema = v.looseObject({
  detail: v.fallback(v.string(), ''),
  message: v.fallback(v.string(), ''),
  problems: v.fallback(v.array(problemSchema), []),
  moreDetails: v.optional(v.unknown()),
});

export type Problem = v.InferOutput<typeof problemSchema>;
export type Validation = v.InferOutput<typeof validationSchema>;
export type ErrorBody = v.InferOutput<typeof errorBodySchema>;
