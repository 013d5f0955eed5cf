import { randomUUID } from 'node:crypto';
import { Problem, shop } from '../shop';
import { OrderForm } from './order-form';

export default async function Brand({ searchParams }: { searchParams: Promise<{ country?: string; name?: string }> }) {
  const { country = 'US', name = '' } = await searchParams;
  const products = await shop.products({ country_code: country, brand_name: name, coin: 'USDC' });
  if (!products.ok) return <Problem error={products.error} />;
  const vias = await shop.paymentVias();
  if (!vias.ok) return <Problem error={vias.error} />;
  const [group] = products.value;
  if (!group) return <p role="alert">This brand is not sold here. <a href="/">Choose another one.</a></p>;
  const usdc = vias.value.find((via) => via.name === 'USER_WALLET')?.currencies.find((coin) => coin.name === 'USDC');
  const networks = usdc?.networks.filter((network) => !network.is_suspended).map((network) => network.name) ?? [];
  return <OrderForm {...{ country, group, networks }} idempotencyKey={randomUUID()} />;
}
