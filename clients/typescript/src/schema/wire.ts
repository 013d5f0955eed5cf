/**
 * Readers for fields that are written in one form but were seen in several (store contract, sections 2 and 3.9), and for
 * words that may be newer than this package.
 *
 * They only widen what is read. Amounts are never among them: a decimal string stays the string it came as. The schemas
 * of this folder are the only callers.
 */
import * as v from 'valibot';

/** A string that may be missing or null. */
export const optionalText = v.nullish(v.string());

/** A string, or a number kept as its text: times and points. */
export const textOrNumber = v.pipe(v.union([v.string(), v.number()]), v.transform(String));

export const optionalTextOrNumber = v.nullish(textOrNumber);

/** A number, or a string that holds one. Only for fields that the contract's section 11 types as numbers. */
export const numberOrText = v.union([v.number(), v.pipe(v.string(), v.decimal(), v.transform(Number))]);

/** A word of a known list, or any other: an unknown state is still a state, and dropping it would hide the order. */
export function word<Known extends string>() {
  return v.custom<Known | (string & {})>((input) => typeof input === 'string');
}

/** A list; a missing one and null are read as empty. */
export function list<Item extends v.GenericSchema>(item: Item) {
  return v.nullish(v.array(item), () => []);
}
