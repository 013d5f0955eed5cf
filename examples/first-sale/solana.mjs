// A Solana chain for one machine: the real runtime (litesvm) behind the node of this repository's tests, with a slot each
// second. Usage:
//   node solana.mjs run FOLDER PORT               runs it; FOLDER has the packages, and gets the chain's state
//   node solana.mjs token NODE                    puts a dollar token there, and prints its mint
//   node solana.mjs pay NODE MINT TO AMOUNT       pays in whole tokens such as 25.38
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { units } from './amount.mjs';

const DECIMALS = 6;
const front = fileURLToPath(new URL('../../crates/server/tests/it/solana/front.mjs', import.meta.url));
const [command, ...words] = process.argv.slice(2);

async function ask(node, method, ...params) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const response = await fetch(node, { method: 'POST', body });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/** Runs the node, and then a slot each second with whatever was sent. Ends with it. */
function run(folder, port) {
  const node = spawn(process.execPath, [front, folder, port, join(folder, 'solana')], { stdio: ['ignore', 'pipe', 'inherit'] });
  process.on('SIGTERM', () => node.kill());
  node.on('exit', () => process.exit());
  let slot = 1000;
  node.stdout.once('data', () => {
    setInterval(() => {
      slot += 1;
      ask(`http://127.0.0.1:${port}`, 'test_finalize', { slot, time: Math.floor(Date.now() / 1000) }).catch((error) => {
        console.error(error.message);
        node.kill();
      });
    }, 1000);
  });
}

if (command === 'run' && words.length === 2) {
  run(...words);
} else if (command === 'token' && words.length === 1) {
  console.log(await ask(words[0], 'test_token', { decimals: DECIMALS, program: 'token', fee_bps: 0 }));
} else if (command === 'pay' && words.length === 4) {
  const [node, mint, to, amount] = words;
  console.log(await ask(node, 'test_pay', [{ mint, to, raw: units(amount, DECIMALS).toString() }]));
} else {
  console.error('usage: node solana.mjs run FOLDER PORT | token NODE | pay NODE MINT TO AMOUNT');
  process.exitCode = 2;
}
