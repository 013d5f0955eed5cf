import { gatewayUrl, Problem, shop } from '../../shop';
import { OrderStatus } from './order-status';

export default async function OrderPage({ params }: { params: Promise<{ orderId: string }> }) {
  const { orderId } = await params;
  const [order, qr] = await Promise.all([shop.order(orderId), shop.qr(orderId)]);
  if (!order.ok) return <Problem error={order.error} />;
  const picture = qr.ok ? `data:image/png;base64,${Buffer.from(qr.value).toString('base64')}` : undefined;
  return <OrderStatus first={order.value} baseUrl={gatewayUrl} picture={picture} />;
}
