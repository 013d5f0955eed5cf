'use server';
import { randomUUID } from 'node:crypto';
import { revalidatePath } from 'next/cache';
import { headers } from 'next/headers';
import { redirect } from 'next/navigation';
import { explain, shop } from '../shop';

type Said = { idempotencyKey: string; problem: string; fields: Record<string, string> };

/** Places the order of a form, or says why not. Each form has a key: without it, a double click would be two orders. */
export async function placeOrder({ idempotencyKey }: Said, form: FormData): Promise<Said> {
  const fields = Object.fromEntries([...form].map(([name, value]) => [name, String(value)]));
  const { email = '', country = '', brand = '', choice = '', value, network } = fields;
  const visitor = (await headers()).get('x-forwarded-for'); // The shop counts unpaid orders by visitor.
  const product_value = choice === 'range' ? value : undefined;
  const placed = await shop.createOrder({
    user: { email }, payment: { type: 'via', payment_via: 'USER_WALLET', coin: 'USDC', network },
    deliveries: [{ brand_name: brand, country_code: country, denomination: choice, product_value, beneficiary_account: email }],
  }, { idempotencyKey, headers: visitor ? { 'x-forwarded-for': visitor } : {} });
  if (placed.ok) {
    revalidatePath('/brand'); // Back leads to a new form, with a key of its own.
    redirect(`/orders/${placed.value.order_id}`);
  }
  // The same key again, because without an answer the order may have been placed; another one only once this one is spent.
  const spent = placed.error.kind === 'refused' && placed.error.code === 'IDEMPOTENCY_KEY_REUSED';
  return { idempotencyKey: spent ? randomUUID() : idempotencyKey, problem: explain(placed.error), fields };
}
