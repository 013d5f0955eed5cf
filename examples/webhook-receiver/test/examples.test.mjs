// Both receivers hear from a demo of their own, and the page shows them as they are.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

const folder = new URL('..', import.meta.url);
const programs = { 'receiver.mjs': process.execPath, 'receiver.py': 'python3' };
const wanted = {
  user: { email: 'you@example.com' },
  payment: { type: 'via', payment_via: 'USER_WALLET', coin: 'USDC', network: 'Solana' },
  deliveries: [{ brand_name: 'Airbnb', country_code: 'US', denomination: '100 USD' }],
};
const started = [];
let data, url, token, account;

/** Starts a program, and waits until it has said that. */
async function start(program, parameters, environment, said) {
  const child = spawn(program, parameters, { env: { ...process.env, ...environment } });
  started.unshift(child);
  child.stderr.on('data', (chunk) => process.stderr.write(chunk));
  child.said = '';
  child.stdout.on('data', (chunk) => (child.said += chunk));
  await heard(child, said);
  return child;
}

async function heard(child, said) {
  while (!said.test(child.said)) {
    if (child.exitCode !== null) throw new Error(`it ended: ${child.said}`);
    await once(child.stdout, 'data', { signal: AbortSignal.timeout(30_000) });
  }
}

async function kiosk(...words) {
  const { stdout } = await promisify(execFile)(process.env.KIOSK_BIN, [...words, '--data-dir', data]);
  return stdout.trim();
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function pay() {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const placed = await fetch(`${url}/v5/orders`, { method: 'POST', headers, body: JSON.stringify(wanted) });
  const order = await placed.json();
  await fetch(`${url}/sandbox/orders/${order.order_id}/pay`, { method: 'POST' });
}

before(async () => {
  assert.ok(process.env.KIOSK_BIN, 'KIOSK_BIN names the kiosk to test with');
  data = await mkdtemp(join(tmpdir(), 'kiosk-webhooks-'));
  const parameters = ['demo', '--listen', '127.0.0.1:0', '--data-dir', data];
  const demo = await start(process.env.KIOSK_BIN, parameters, {}, /kiosk is open at http:\S+/);
  url = demo.said.match(/kiosk is open at (http:\S+)/)[1];
  token = await kiosk('customer', 'add', 'Shop');
  account = (await kiosk('customer', 'list')).split(' ')[0];
});

after(async () => {
  for (const child of started) {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }
  await rm(data, { recursive: true });
});

for (const [name, program] of Object.entries(programs)) {
  test(`${name} takes what is signed, with the newest secret or the one before, and nothing else`, async () => {
    const port = await freePort();
    const [endpoint, secret] = (await kiosk('webhook', 'add', account, `http://127.0.0.1:${port}/`)).split(' ');
    const environment = { WEBHOOK_SECRET: secret, PORT: port };
    const receiver = await start(program, [new URL(name, folder).pathname], environment, /listening/);
    await pay();
    await heard(receiver, /evt_\d+ Done\n/);
    await kiosk('webhook', 'rotate', endpoint);
    receiver.said = '';
    await pay();
    await heard(receiver, /evt_\d+ Done\n/);

    receiver.said = '';
    const timestamp = Math.floor(Date.now() / 1000).toString();
    for (const signature of ['', 'v1,', `v1,${'A'.repeat(43)}=`]) {
      const headers = { 'webhook-id': 'evt_1', 'webhook-timestamp': timestamp, 'webhook-signature': signature };
      const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body: '{}' });
      assert.equal(answer.status, 401, signature);
    }
    assert.equal(receiver.said, '');
    await kiosk('webhook', 'remove', endpoint);
  });
}

test('the page shows both as they are', async () => {
  const page = await readFile(new URL('../../docs/webhooks.md', folder), 'utf8');
  for (const name of Object.keys(programs)) {
    const [, rest] = page.split(`<!-- examples/webhook-receiver/${name} -->\n`);
    const shown = rest.slice(rest.indexOf('\n') + 1, rest.indexOf('\n```\n') + 1);
    assert.equal(shown, await readFile(new URL(name, folder), 'utf8'), name);
  }
});
