// Takes one payment: 100 USDC on Solana, received as USDT on Ethereum; every notification is verified.
//   KIOSK_URL=http://127.0.0.1:8080 node merchant.mjs
// Ends with 0 once `done` was notified and verified, else with 1. Plays the payer too, on the sandbox.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

const kiosk = (process.env.KIOSK_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, '');
const wallet = process.env.PAYOUT_ADDRESS ?? '0x52908400098527886E0F7030069857D2E4169EE7';
const give = '100';
const secondsAtMost = 50;

/** Calls a method of the exchange API. Its errors come with status 200 too. */
async function call(method, params) {
  const response = await fetch(`${kiosk}/service/api/v1/public/exchanger/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(params),
    signal: AbortSignal.timeout(15_000),
  });
  const answer = await response.json();
  if (!answer.success) throw new Error(`${method}: ${answer.error.errorCode}, ${answer.error.message}`);
  return answer.data;
}

/** A plain decimal as an integer: `units('1.005', 4)` is `10050n`. Money is never calculated in floating point. */
function units(text, decimals) {
  const [whole, fraction = ''] = text.split('.');
  if (fraction.length > decimals) throw new RangeError(`${text} has more than ${decimals} decimals`);
  return BigInt(whole + fraction.padEnd(decimals, '0'));
}

/** What is received for what is given, in the smallest units: give / (rate x (1 - discount)) - fee, rounded down. */
function receives({ from, to, rate }, give) {
  const discount = from.discounts.find(({ amountMoreThan }) => amountMoreThan <= Number(give))?.discountPercent ?? 0;
  const digits = rate.rateFullNumber.split('.')[1]?.length ?? 0;
  const price = units(rate.rateFullNumber, digits) * (10_000n - units(discount.toFixed(2), 2));
  const above = units(give, from.decimal) * 10n ** BigInt(to.decimal + digits + 4);
  return above / (price * 10n ** BigInt(from.decimal)) - units(rate.outFeeAmount.toFixed(to.decimal), to.decimal);
}

/** The notification in a body, or null if it was not signed with the secret. */
function verified(body, secret) {
  const form = new URLSearchParams(body);
  const signed = ['orderId', 'newStatus', 'inAmount', 'outAmount', 'xml_from', 'xml_to', 'timestamp'];
  const text = [...signed.map((name) => form.get(name)), secret].join(':');
  const right = createHash('sha256').update(text).digest();
  const given = Buffer.from(form.get('hash') ?? '', 'hex');
  return given.length === right.length && timingSafeEqual(given, right) ? form : null;
}

/** Listens for notifications. The exchange sends each of them once, whatever we answer. */
async function listen(secret, notified) {
  const server = createServer(async (request, response) => {
    let body = '';
    request.setEncoding('utf8');
    for await (const chunk of request) {
      body += chunk;
      if (body.length > 65_536) return request.destroy();
    }
    const form = verified(body, secret);
    response.writeHead(form ? 204 : 400).end();
    if (form) notified(form);
    else console.log('a notification that the exchange did not sign: ignored');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}/ipn`;
}

async function main() {
  let order;
  let end;
  const ended = new Promise((resolve) => (end = resolve));
  const ipnSecret = randomBytes(24).toString('hex');
  const ipnUrl = await listen(ipnSecret, (form) => {
    if (form.get('orderId') !== order?._id) return;
    console.log(`notified and verified: ${form.get('newStatus')}`);
    if (['done', 'returned', 'deleted'].includes(form.get('newStatus'))) end(form);
  });

  const { route } = await call('route/get/one/by-xml', { xmlIn: 'USDCSOL', xmlOut: 'USDTERC20' });
  const quoted = receives(route, give);

  const toValues = [{ key: route.to.fields[0]._id, value: wallet }];
  const wanted = { routeId: route.routeId, amount: give, toValues, agreement: true, hideOutData: true };
  order = await call('order/create', { ...wanted, ipnUrl, ipnSecret });
  const agreed = units(order.outAmount.toFixed(route.to.decimal), route.to.decimal);
  console.log(`order ${order.uid}: give ${order.inAmount}, receive ${order.outAmount}`);
  if (agreed !== quoted) console.log('the rate has moved since it was quoted: the order is what counts');

  const key = { orderUID: order.uid, orderSecret: order.secret };
  await call('order/update-status', { ...key, status: 'waitPayment' });
  const { payment } = (await call('order/get', key)).order.route.from.paymentDetails;
  console.log(`to be paid: ${payment.amount} ${payment.currency} on ${payment.network} to ${payment.address}`);
  await fetch(`${kiosk}/sandbox/orders/${order._id}/pay`, { method: 'POST' });

  const last = await ended;
  const isAll = units(last.get('outAmount'), route.to.decimal) >= agreed;
  return last.get('newStatus') === 'done' && isAll;
}

function exit(code, why) {
  if (why) console.error(why);
  process.exit(code);
}

setTimeout(() => exit(1, `not done within ${secondsAtMost} seconds`), secondsAtMost * 1_000);
main().then((isDone) => exit(isDone ? 0 : 1), (error) => exit(1, error.message));
