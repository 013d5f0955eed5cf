'use client';
import type { Order } from '@kiosk/client';
import { useOrderSWR } from '@kiosk/client/swr';

const words: Record<string, string> = {
  WaitingForPayment: 'Waiting for your payment',
  PartialPaymentStarted: 'A part has arrived. Send the rest to the same address',
  PaymentStarted: 'Payment seen, waiting for the network to confirm it',
  PaymentReceived: 'Paid, your order is on its way',
  WaitingForDelivery: 'Paid, your order is on its way',
  Done: 'Done',
  Expired: 'The time to pay is over. Order again; if you have paid, write to us',
};

export function OrderStatus({ first, baseUrl, picture }: { first: Order; baseUrl: string; picture: string | undefined }) {
  const { data: order = first, error } = useOrderSWR(first.order_id, { baseUrl });
  const { order_state: state, deliveries, coin, coin_amount, sent_coin_amount, network, wallet_address } = order;
  return (
    <>
      {deliveries.map(({ id, deliverable: line }) => <h1 key={id}>{line.brand_name} {line.localized_denomination ?? line.denomination}</h1>)}
      <h2 role="status">{words[state] ?? `${state}: please write to us`}</h2>
      {error && <p role="alert">This page does not follow the order any more. Reload it; your payment is safe.</p>}
      {['WaitingForPayment', 'PartialPaymentStarted'].includes(state) && (
        <section>
          Price: <b>{coin_amount} {coin}</b> on <b>{network}</b>, to be sent to <code>{wallet_address}</code>
          Received so far: {sent_coin_amount} {coin} {sent_coin_amount === '0' && picture && <img src={picture} alt="QR code" />}
        </section>
      )}
      {deliveries.map(({ id, deliverable: { pin_code } }) => pin_code && <output key={id} aria-label="Code">{pin_code}</output>)}
    </>
  );
}
