/** The settings, the client of the shop, and what to tell a shopper when a call fails. For the server alone. */
import { type ClientError, createClient } from '@kiosk/client';

export const gatewayUrl = process.env.GATEWAY_URL ?? ''; // Empty: browsers open the streams at this app's own route.
export const apiUrl = gatewayUrl || process.env.API_URL || 'http://127.0.0.1:8080';
export const partner = process.env.PARTNER_ID || 'demo-partner';
export const shop = createClient({ baseUrl: apiUrl, partner });

const advice: Record<string, string> = {
  BAD_REQUEST: 'The shop does not know this country or brand. Choose another one.',
  NOT_FOUND: 'There is no such order. Check the address of this page.',
  OUT_OF_STOCK: 'This one is sold out. Choose another value or brand.',
  NOT_AVAILABLE_PRODUCT: 'This value is not for sale. Choose another one.',
  INVALID_BENEFICIARY_ACCOUNT: 'This e-mail address cannot receive a code. Check its spelling.',
  TOO_MANY_UNPAID_ORDERS: 'There are too many unpaid orders. Pay for one of them, or come back in half an hour.',
  IDEMPOTENCY_KEY_REUSED: 'This form has placed an order before. Press the button once more for a new one.',
};

export function explain(error: ClientError): string {
  console.error(error.message); // For the people who run the app; it holds no order id and no code.
  if (error.kind !== 'refused' || error.status >= 500) return 'The shop does not answer. Nothing was paid; try again in a minute.';
  const codes = new Set([error.code, ...error.problems.map(({ problem }) => problem)]);
  return [...codes].map((code) => advice[code] ?? `The shop refused (${code}). Choose something else, or ask us.`).join(' ');
}

export const Problem = ({ error }: { error: ClientError }) => <p role="alert">{explain(error)} <a href="/">All gift cards</a></p>;
