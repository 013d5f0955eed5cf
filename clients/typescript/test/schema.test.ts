import { readFileSync } from 'node:fs';

import * as v from 'valibot';
import { describe, expect, expectTypeOf, test } from 'vitest';

import { httpErrorCodes, orderProblemCodes } from '../src/problem-codes.js';
import type { ProblemCode } from '../src/problem-codes.js';
import { brandsSchema, paymentViasSchema, productGroupsSchema } from '../src/schema/catalogue.js';
import type { Order, OrderState } from '../src/schema/order.js';
import { orderSchema } from '../src/schema/order.js';
import { validationSchema } from '../src/schema/validation.js';
import { orderBody } from './fixtures.js';

describe('an order', () => {
  test.each(Object.keys(orderBody()))('without %s is none', (field) => {
    expect(v.is(orderSchema, orderBody())).toBe(true);
    expect(v.is(orderSchema, orderBody({ [field]: undefined }))).toBe(false);
    expect(v.is(orderSchema, orderBody({ [field]: null }))).toBe(false);
  });

  test('keeps fields and words that are newer than this package', () => {
    const read = v.parse(orderSchema, orderBody({ order_state: 'OnItsWay', shiny: { a: 1 } }));
    expect(read.order_state).toBe('OnItsWay');
    expect(read['shiny']).toEqual({ a: 1 });
  });

  test('has its amounts as the strings they came as', () => {
    const read = v.parse(orderSchema, orderBody({ coin_amount: '0.10000000000000000001' }));
    expect(read.coin_amount).toBe('0.10000000000000000001');
    expect(v.is(orderSchema, orderBody({ coin_amount: 0.1 }))).toBe(false);
  });

  test.each([
    ['created_at', 1790000000, '1790000000'],
    ['updated_at', 1790000000, '1790000000'],
    ['payment_value', '21.50', 21.5],
    ['pin_code', 1234, '1234'],
    ['wallet_address', null, null],
    ['refund', null, null],
  ])('reads %s in the form %j', (field, seen, read) => {
    expect(v.parse(orderSchema, orderBody({ [field]: seen }))).toHaveProperty(field, read);
  });

  test.each(['', 'much', '1e3', 'NaN'])('has no payment_value of %j', (text) => {
    expect(v.is(orderSchema, orderBody({ payment_value: text }))).toBe(false);
  });

  test('has types with the names of the contract', () => {
    expectTypeOf<Order['coin_amount']>().toEqualTypeOf<string>();
    expectTypeOf<Order['created_at']>().toEqualTypeOf<string>();
    expectTypeOf<Order['payment_value']>().toEqualTypeOf<number>();
    expectTypeOf<OrderState>().toExtend<Order['order_state']>();
    expectTypeOf<'LESS'>().toExtend<ProblemCode>();
  });
});

describe('the catalogue', () => {
  const brand = {
    brand_id: 'b-1', brand: 'Steam', family: 'Steam', kind: 'giftcard', category: 'games', country_code: 'US',
    is_out_of_stock: false, product_type: 'physical',
  };

  test('reads null lists as empty ones', () => {
    const read = v.parse(brandsSchema, {
      country_code: 'US', last_user_purchases: null, categories: [{ kind: 'giftcard', category: null, brands: null }],
      all_brands: [{ ...brand, additional_categories: null }],
    });
    expect(read.last_user_purchases).toEqual([]);
    expect(read.popular_brands).toEqual([]);
    expect(read.categories[0]?.brands).toEqual([]);
    expect(read.all_brands[0]?.additional_categories).toEqual([]);
  });

  test('takes a via that does not say so as available, and a network as not suspended', () => {
    const networks = [{ name: 'Base', threshold: '0.580000000000000001' }];
    const read = v.parse(paymentViasSchema, [
      { name: 'USER_WALLET', currencies: [{ name: 'USDC', is_suspended: false, networks }] },
    ]);
    expect(read[0]?.available).toBe(true);
    expect(read[0]?.currencies[0]?.networks[0]).toEqual({ ...networks[0], is_suspended: false });
  });

  test.each(['50.00', { amount: '50.00', currency: 'USD' }])('reads the end of a range as %j', (end) => {
    const product = {
      product_id: 'p-1', is_dynamic: true, coin: 'USDC', payment_method: 'USDC-MATIC', delivery_type: 'by_email',
      product_type: 'physical', face_value: { currency_code: 'USD', amount: { type: 'range', min: end, max: '500.00' } },
    };
    const read = v.parse(productGroupsSchema, [{ ...brand, products: [product] }, { ...brand, products: null }]);
    expect(read[0]?.products[0]?.face_value.amount.min).toBe('50.00');
    expect(read[0]?.products[0]?.benefits).toEqual([]);
    expect(read[1]?.products).toEqual([]);
  });

  test('reads a validation without problems, with null and with codes that are unknown', () => {
    expect(v.parse(validationSchema, { coin: 'BTC', problems: null }).problems).toEqual([]);
    expect(v.parse(validationSchema, { coin: 'BTC', problems: [{ problem: 'NEW_CODE', moreDetails: [1] }] }).problems).toEqual([
      { problem: 'NEW_CODE', moreDetails: [1] },
    ]);
  });
});

describe('the problem codes', () => {
  test('are those that the server documents, in the same order', () => {
    const page = readFileSync(new URL('../../../docs/problem-codes.md', import.meta.url), 'utf8');
    const documented = [...page.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((row) => row[1]);
    expect(documented).toHaveLength(28);
    expect(orderProblemCodes.slice(0, 28)).toEqual(documented);
  });

  test('are each named once', () => {
    const all = [...orderProblemCodes, ...httpErrorCodes];
    expect(new Set(all).size).toBe(all.length);
  });
});
