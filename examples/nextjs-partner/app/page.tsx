import Link from 'next/link';
import { Problem, shop } from './shop';

export default async function Brands({ searchParams }: { searchParams: Promise<{ country?: string }> }) {
  const { country = 'US' } = await searchParams;
  const brands = await shop.brands({ country_code: country });
  if (!brands.ok) return <Problem error={brands.error} />;
  const cards = brands.value.all_brands.filter((brand) => brand.kind === 'giftcard' && !brand.is_out_of_stock);
  return (
    <ul>
      {cards.map(({ brand_id, brand, bg_color, min, max }) => (
        <li key={brand_id} style={{ borderColor: bg_color ?? 'gray' }}>
          <Link prefetch={false} href={{ pathname: '/brand', query: { country, name: brand } }}>{brand}</Link>
          {min === max ? min : `${min} to ${max}`}
        </li>
      ))}
    </ul>
  );
}
