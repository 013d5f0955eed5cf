// Both examples take a payment at a demo of their own, and the page shows them as they are.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const folder = new URL('..', import.meta.url);
let demo, data, url;

before(async () => {
  assert.ok(process.env.KIOSK_BIN, 'KIOSK_BIN names the kiosk to test with');
  data = await mkdtemp(join(tmpdir(), 'kiosk-merchant-'));
  demo = spawn(process.env.KIOSK_BIN, ['demo', '--listen', '127.0.0.1:0', '--data-dir', data]);
  url = await new Promise((resolve, reject) => {
    let said = '';
    demo.stdout.on('data', (chunk) => {
      said += chunk;
      const open = said.match(/kiosk is open at (http:\S+)/);
      if (open) resolve(open[1]);
    });
    demo.stderr.on('data', (chunk) => process.stderr.write(chunk));
    demo.on('exit', (code) => reject(new Error(`the demo ended with ${code}`)));
  });
});

after(async () => {
  const ended = new Promise((resolve) => demo.on('exit', resolve));
  demo.kill('SIGTERM');
  await ended;
  await rm(data, { recursive: true });
});

const example = (program, name) =>
  run(program, [new URL(name, folder).pathname], { env: { ...process.env, KIOSK_URL: url }, timeout: 90_000 });

test('the script pays an order and sees it done', async () => {
  const { stdout } = await example('bash', 'curl.sh');
  assert.match(stdout, /done/);
});

test('the program is told of every change and verifies it', async () => {
  const { stdout } = await example(process.execPath, 'merchant.mjs');
  assert.match(stdout, /done/);
});

test('the page shows both as they are', async () => {
  const page = await readFile(new URL('../../docs/merchants.md', folder), 'utf8');
  for (const name of ['curl.sh', 'merchant.mjs']) {
    const [, rest] = page.split(`<!-- examples/exchange-merchant/${name} -->\n`);
    const shown = rest.slice(rest.indexOf('\n') + 1, rest.indexOf('\n```\n') + 1);
    assert.equal(shown, await readFile(new URL(name, folder), 'utf8'), name);
  }
});
