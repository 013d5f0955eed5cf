// docs/operators.md is followed as it stands, block by block, in one shell: only ports are others, and the kiosk that is
// already built is used.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../../', import.meta.url));

/** The commands of one section of the page, in their order. */
async function commandsOf(title) {
  const page = await readFile(new URL('../../../docs/operators.md', import.meta.url), 'utf8');
  const [, rest] = page.split(`\n## ${title}\n`);
  assert.ok(rest, `the page has a section "${title}"`);
  const section = rest.split('\n## ')[0];
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Runs commands as a person would who stops at the first error. Whatever they started ends with them. */
async function run(commands) {
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', commands], { cwd: repository, detached: true });
  let said = '';
  shell.stdout.on('data', (chunk) => (said += chunk));
  shell.stderr.on('data', (chunk) => (said += chunk));
  const limit = setTimeout(() => process.kill(-shell.pid, 'SIGKILL'), 240_000);
  const code = await new Promise((resolve) => shell.on('exit', resolve));
  clearTimeout(limit);
  return { code, said };
}

/** Follows a section with a kiosk that is built already. */
async function follow(title) {
  assert.ok(process.env.KIOSK_BIN, 'KIOSK_BIN names the kiosk to test with');
  const [build, ...rest] = await commandsOf(title);
  assert.match(build, /^cargo build --release$/m);
  const [node, shop] = [await freePort(), await freePort()];
  const begin = build.replace(/^cargo build.*$/m, '').replace(/^KIOSK=.*$/m, `KIOSK='${process.env.KIOSK_BIN}'`);
  const commands = [begin, ...rest].join('').replaceAll('127.0.0.1:8545', `127.0.0.1:${node}`)
    .replaceAll('--port 8545', `--port ${node}`).replaceAll('8899', `${node}`).replaceAll('127.0.0.1:8080', `127.0.0.1:${shop}`);
  const cleanup = 'trap \'rm -rf "${SHOP:-}"; kill $(jobs -p) 2> /dev/null || true\' EXIT\n';
  return run(cleanup + commands);
}

for (const title of ['A first sale, on a chain of your own', 'A first sale on Solana']) {
  test(`the page sells a gift card: ${title}`, async () => {
    const { code, said } = await follow(title);
    assert.equal(code, 0, said);
    assert.match(said, /"pin_code":"EXAMPLE-000[12]"/, said);
    assert.match(said, /"order_state":"Done"/, said);
  });
}
