// Takes one payment: 100 USDC on Solana, received as USDT on Ethereum, every notification verified. Node 20, no packages.
//   KIOSK_URL=http://127.0.0.1:8080 node merchant.mjs
// Ends with 0 once `done` was notified and verified, else with 1. It plays the payer too, on the sandbox.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

const kiosk = (process.env.KIOSK_URL ?? 'http://127.0.0.1:8080').replace(/\/+$/, '');
const wallet = process.env.PAYOUT_ADDRESS ?? '0x52908400098527886E0F7030069857D2E4169EE7';
const give = '100';
const secondsAtMost = 50;

/** Calls a method of the exchange API; its errors come with status 200 too. */
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

/** A plain decimal as an integer: `units('1.005', 4)` is `10050n`. Never calculate money with floating point. */
function units(text, decimals) {
  const [whole, fraction = ''] = text.split('.');
  if (fraction.length > decimals) throw new RangeError(`${text} has more than ${decimals} decimals`);
  return BigInt(whole + fraction.padEnd(decimals, '0'));
}

/** What is received for what is given, in the smallest units: give / (rate x (1 - discount)) - fee, rounded down. */
function receives({ from, to, rate }, give) {
  const discount = from.discounts.find(({ amountMoreThan }) => amountMoreThan <= Number(give))?.discountPercent ?? 0;
  const price = rate.rateFullNumber;
  const digits = price.split('.')[1]?.length ?? 0;
  const above = units(give, from.decimal) * 10n ** BigInt(to.decimal + digits + 4);
  const below = 10n ** BigInt(from.decimal) * units(price, digits) * (10_000n - units(discount.toFixed(2), 2));
  return above / below - units(rate.outFeeAmount.toFixed(to.decimal), to.decimal);
}

/** The notification in a body if it was signed with the secret, else null. */
function verified(body, secret) {
  const form = new URLSearchParams(body);
  const signed = ['orderId', 'newStatus', 'inAmount', 'outAmount', 'xml_from', 'xml_to', 'timestamp'];
  const text = [...signed.map((name) => form.get(name)), secret].join(':');
  const right = createHash('sha256').update(text).digest();
  const given = Buffer.from(form.get('hash') ?? '', 'hex');
  return given.length === right.length && timingSafeEqual(given, right) ? form : null;
}

/** Listens for notifications: whatever happens to one of them, it is not sent again. */
async function receiver(secret, notified) {
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
    else console.log('not from the exchange: ignored');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}/ipn`;
}

async function main() {
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const seen = [];
  const ipnSecret = randomBytes(24).toString('hex');
  const ipnUrl = await receiver(ipnSecret, (form) => {
    seen.push(form);
    console.log(`notified and verified: ${form.get('newStatus')}`);
    if (['done', 'returned', 'deleted'].includes(form.get('newStatus'))) finish(form);
  });

  const { route } = await call('route/get/one/by-xml', { xmlIn: 'USDCSOL', xmlOut: 'USDTERC20' });
  const expected = receives(route, give);

  const toValues = [{ key: route.to.fields[0]._id, value: wallet }];
  const order = await call('order/create', {
    routeId: route.routeId, amount: give, toValues, agreement: true, hideOutData: true, ipnUrl, ipnSecret,
  });
  const agreed = units(order.outAmount.toFixed(route.to.decimal), route.to.decimal);
  console.log(`order ${order.uid}: ${order.inAmount} for ${order.outAmount}${agreed === expected ? '' : ', not as quoted'}`);

  const key = { orderUID: order.uid, orderSecret: order.secret };
  await call('order/update-status', { ...key, status: 'waitPayment' });
  const { payment } = (await call('order/get', key)).order.route.from.paymentDetails;
  console.log(`to be paid: ${payment.amount} ${payment.currency} on ${payment.network} to ${payment.address}`);
  await fetch(`${kiosk}/sandbox/orders/${order._id}/pay`, { method: 'POST' });

  const last = await finished;
  // What is signed is what the exchange said; that it is about this order and these amounts is checked here.
  const isOurs = last.get('orderId') === order._id && last.get('xml_to') === route.to.xml;
  const isAll = units(last.get('outAmount'), route.to.decimal) >= agreed;
  console.log(`${last.get('outAmount')} ${last.get('xml_to')} ${last.get('newStatus')}`);
  return isOurs && isAll && last.get('newStatus') === 'done';
}

const late = () => { console.error(`not done within ${secondsAtMost} s`); process.exit(1); };
setTimeout(late, secondsAtMost * 1_000);
main().then((isDone) => process.exit(isDone ? 0 : 1), (error) => { console.error(error.message); process.exit(1); });
