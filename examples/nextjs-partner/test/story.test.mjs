// The shop in a real browser: an order is placed, paid on the sandbox and followed to its code, once through a gateway that
// is killed on the way, and once through the app's own route. Nothing sleeps and nothing is tried twice.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { freePort, isOpen, kill, killAll, start } from './programs.mjs';

const { KIOSK_BIN, CHROMIUM = '/usr/bin/chromium' } = process.env;
const APP = fileURLToPath(new URL('..', import.meta.url));
const PARTNER = 'demo-partner';
/** Longer than the hook's first waits for a lost stream together, 1, 2, 4 and 8 s. */
const PATIENCE_MS = 30_000;

let browser;
let dataDir;
let demoUrl;

before(async () => {
  assert.ok(KIOSK_BIN, 'KIOSK_BIN must be the path of the kiosk program: cargo build --release makes target/release/kiosk');
  assert.ok(existsSync(CHROMIUM), `there is no browser at ${CHROMIUM}: install Chromium, or name one with CHROMIUM`);
  assert.ok(existsSync(join(APP, '.next/BUILD_ID')), 'the app is not built: npm run build');
  dataDir = await mkdtemp(join(tmpdir(), 'nextjs-partner-'));
  const listen = `127.0.0.1:${await freePort()}`;
  demoUrl = `http://${listen}`;
  const args = ['demo', '--listen', listen, '--data-dir', dataDir];
  await start({ name: 'the demo', command: KIOSK_BIN, args, greeting: 'All calls:' });
  // The sandbox is for root and for containers too, where Chromium's own does not start. Everything here is our own page.
  const quiet = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  const flags = ['--no-sandbox', ...quiet, '--disable-component-update', '--disable-sync'];
  browser = await chromium.launch({ executablePath: CHROMIUM, args: flags });
});

after(async () => {
  await browser?.close();
  await killAll();
  if (dataDir) await rm(dataDir, { recursive: true });
});

test('through a gateway that is killed and started again', async () => {
  const [appPort, gatewayPort] = [await freePort(), await freePort()];
  const gatewayUrl = `http://127.0.0.1:${gatewayPort}`;
  const firstGateway = await startGateway(gatewayPort, appPort);
  const app = await startApp(appPort, { GATEWAY_URL: gatewayUrl });
  const { page, orderId, origins, streams } = await placeOrder(app.url);

  await pay(orderId, { factor: '0.5' });
  await shows(page, 'A part has arrived', 'after half of the payment');

  await kill(firstGateway);
  assert.equal(await isOpen(gatewayPort), false, 'the gateway is gone');
  const stranger = await (await fetch(app.url)).text();
  assert.match(stranger, /The shop does not answer/, 'the app calls the shop through the gateway alone, and says that it is gone');
  const secondGateway = await startGateway(gatewayPort, appPort);

  await pay(orderId, { factor: '0.5' });
  await showsTheCode(page, orderId);
  assert.deepEqual([...origins].sort(), [app.url, gatewayUrl].sort(), 'the browser talks to the app and the gateway alone');
  assert.ok(streams.length >= 2, 'the stream was opened again');
  assert.ok(streams.every((url) => url.startsWith(`${gatewayUrl}/`)), 'streams come from the gateway');
  await keepsSecrets([app, firstGateway, secondGateway], page, orderId);
});

test('through the route of the app', async () => {
  const app = await startApp(await freePort(), { API_URL: demoUrl });
  const { page, orderId, origins, streams } = await placeOrder(app.url);

  await pay(orderId, {});
  await showsTheCode(page, orderId);
  assert.deepEqual([...origins], [app.url], 'the browser talks to the app alone');
  assert.equal(streams.length, 1, 'one stream is enough');
  await keepsSecrets([app], page, orderId);
  await page.goBack();
  await order(page);
  assert.ok(!page.url().endsWith(orderId), 'the same order once more is another order');
});

test('a refused order is explained, and a form that is sent before its scripts run is an order too', async () => {
  const app = await startApp(await freePort(), { API_URL: demoUrl });
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(`${app.url}/brand?name=Airbnb`);
  await page.getByLabel('$200').check();
  await page.getByLabel('E-mail').fill('shopper@localhost');
  await page.getByRole('button', { name: 'Order' }).click();
  await page.getByText('This e-mail address cannot receive a code').waitFor();
  assert.ok(await page.getByLabel('$200').isChecked(), 'the choice is kept');
  await page.getByLabel('E-mail').fill('shopper@example.com');
  await page.getByRole('button', { name: 'Order' }).click();
  await shows(page, 'Waiting for your payment', 'after the second try');
  await context.close();
});

async function startGateway(port, appPort) {
  const to = ['--upstream', demoUrl, '--partner', PARTNER];
  const from = ['--allow-origin', `http://127.0.0.1:${appPort}`, '--trust-proxy', '127.0.0.1'];
  const args = ['gateway', ...to, '--listen', `127.0.0.1:${port}`, ...from];
  return start({ name: 'the gateway', command: KIOSK_BIN, args, greeting: 'is open at' });
}

/** The built app with these settings and no others. `API_URL` leads nowhere unless it is among them. */
async function startApp(port, settings) {
  const nowhere = { API_URL: 'http://127.0.0.1:1', GATEWAY_URL: '', PARTNER_ID: PARTNER, NEXT_TELEMETRY_DISABLED: '1' };
  const next = join(APP, 'node_modules/next/dist/bin/next');
  const args = [next, 'start', APP, '--hostname', '127.0.0.1', '--port', String(port)];
  const env = { ...nowhere, ...settings };
  const app = await start({ name: 'the app', command: process.execPath, args, greeting: 'Ready', env });
  return { ...app, url: `http://127.0.0.1:${port}` };
}

/** Orders as a shopper does. The page that is open then carries a mark that would not survive a reload. */
async function placeOrder(appUrl) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const origins = new Set();
  const streams = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith('http')) origins.add(url.origin);
    if (url.pathname.endsWith('/subscribe')) streams.push(url.href);
  });
  await page.goto(appUrl);
  await page.getByRole('link', { name: 'Airbnb' }).click();
  await order(page);
  await page.evaluate(() => (window.openedOnce = true));
  return { page, orderId: new URL(page.url()).pathname.split('/').pop(), origins, streams };
}

/** Fills in the form that is open, and sends it. */
async function order(page) {
  await page.getByLabel('$100').check();
  await page.getByLabel('E-mail').fill('shopper@example.com');
  await page.getByRole('button', { name: 'Order' }).click();
  await shows(page, 'Waiting for your payment', 'after the order');
}

async function pay(orderId, body) {
  const headers = { 'content-type': 'application/json' };
  const url = `${demoUrl}/sandbox/orders/${orderId}/pay`;
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, 'the sandbox pays');
}

/** Waits until the page shows a state; if it does not, tells what it shows instead. */
async function shows(page, text, when) {
  const seen = page.getByRole('status').filter({ hasText: text });
  await seen.waitFor().catch(async () => {
    const instead = await page.locator('h2, p[role=alert]').allInnerTexts();
    assert.fail(`${when} the page should say "${text}"; after ${PATIENCE_MS} ms it says "${instead.join('; ')}"`);
  });
}

/** Compares with what the demo itself says, and prints neither code. */
async function showsTheCode(page, orderId) {
  await shows(page, 'Done', 'after the whole payment');
  const shown = await page.getByLabel('Code').allInnerTexts();
  const { order_state, deliveries } = await (await fetch(`${demoUrl}/v5/orders/${orderId}`)).json();
  const codes = deliveries.map(({ deliverable }) => deliverable.pin_code);
  assert.equal(order_state, 'Done');
  assert.ok(codes.length === 1 && codes[0], 'the order has one code');
  assert.ok(shown.join() === codes.join(), 'the page shows the code of the order');
  assert.equal(await page.evaluate(() => window.openedOnce), true, 'the page has not been loaded again');
}

async function keepsSecrets(programs, page, orderId) {
  const [code] = await page.getByLabel('Code').allInnerTexts();
  const logs = programs.map((program) => program.said()).join();
  assert.ok(!logs.includes(orderId) && !logs.includes(code), 'no log holds the id of the order or its code');
}
