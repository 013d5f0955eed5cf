'use client';
import type { ProductGroup } from '@kiosk/client';
import { useActionState } from 'react';
import { placeOrder } from './place-order';

type Props = { country: string; group: ProductGroup; networks: string[]; idempotencyKey: string };

export function OrderForm({ country, group, networks, idempotencyKey }: Props) {
  const [said, place, placing] = useActionState(placeOrder, { idempotencyKey, problem: '', fields: {} });
  const { email, network, value, choice = group.products[0]?.denomination ?? 'range' } = said.fields;
  return (
    <form action={place}>
      <h1>{group.brand}</h1>
      {said.problem && <p role="alert">{said.problem}</p>}
      <input type="hidden" name="country" value={country} /><input type="hidden" name="brand" value={group.brand} />
      {group.products.map(({ product_id, denomination = 'range', localized_denomination, range, coin_amount }) => (
        <label key={product_id}>
          <input type="radio" name="choice" value={denomination!} defaultChecked={choice === denomination} />{' '}
          {range ? 'Another value ' : `${localized_denomination ?? denomination} for ${coin_amount} USDC`}
          {range && (
            <input type="number" name="value" min={range.min} max={range.max} step={range.step_size} defaultValue={value ?? range.min} />
          )}
        </label>
      ))}
      <input type="email" name="email" aria-label="E-mail" placeholder="Your e-mail address" required defaultValue={email} />
      <select name="network" aria-label="Network" defaultValue={network} key={network}>
        {networks.map((name) => <option key={name} value={name}>USDC on {name}</option>)}
      </select>
      <button disabled={placing}>{placing ? 'One moment' : 'Order'}</button>
    </form>
  );
}
