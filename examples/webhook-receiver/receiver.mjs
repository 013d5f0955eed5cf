// Listens for webhooks, verifies them, and prints what is new.
//   WEBHOOK_SECRET=whsec_... PORT=9000 node receiver.mjs
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const secret = process.env.WEBHOOK_SECRET;
const port = Number(process.env.PORT ?? 9000);
const secondsApart = 300;

/** Whether a message was signed with the secret, and lately. `body` is what came, byte for byte. */
function isSigned(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures = '' } = headers;
  const isNow = Math.abs(Date.now() / 1000 - Number(timestamp)) <= secondsApart;
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  const right = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  const fits = (signature) => {
    const given = Buffer.from(signature.replace('v1,', ''), 'base64');
    return given.length === right.length && timingSafeEqual(given, right);
  };
  return isNow && signatures.split(' ').some(fits);
}

/** The number of the newest event of each order. Keep it in your database, beside the order. */
const newest = new Map();

/** Tells each change of an order once, and none that is older than what is known of it. */
function take({ id, type, data }) {
  if (type !== 'order.updated') return console.log(type, JSON.stringify(data));
  const order = data.order.uid ?? data.order.order_id;
  const number = Number(id.replace('evt_', ''));
  if (number <= (newest.get(order) ?? 0)) return;
  newest.set(order, number);
  console.log(id, data.order.status ?? data.order.order_state);
}

const server = createServer(async (request, response) => {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > 65_536) return request.destroy();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isSigned(request.headers, body)) return response.writeHead(401).end();
  take(JSON.parse(body));
  response.writeHead(204).end();
});
server.listen(port, '127.0.0.1', () => console.log('listening'));
