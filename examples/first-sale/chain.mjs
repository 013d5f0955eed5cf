// A token on a development chain, and payments in it. Usage:
//   node chain.mjs token NODE                      puts a dollar token there, with a million for the first account
//   node chain.mjs pay NODE CONTRACT TO AMOUNT     the first account pays, in whole tokens such as 25.38
import { readFile } from 'node:fs/promises';
import { units } from './amount.mjs';

const DECIMALS = 6;
const compiled = new URL('../../crates/server/tests/it/evm/tokens/tokens.json', import.meta.url);
const token = JSON.parse(await readFile(compiled, 'utf8')).TestToken;
const [command, node, contract, to, amount] = process.argv.slice(2);

async function ask(method, ...params) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const response = await fetch(node, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  const { result, error } = await response.json();
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

/** A number or an address as an argument of a contract's method. */
const word = (value) => BigInt(value).toString(16).padStart(64, '0');

/** The receipt of a transaction, which the node mines within moments. */
async function receiptOf(hash) {
  for (let tries = 0; tries < 100; tries += 1) {
    const receipt = await ask('eth_getTransactionReceipt', hash);
    if (receipt) return receipt;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the transaction ${hash} is not mined`);
}

/** Sends a transaction of the first account. */
async function send(data, more = {}) {
  const [from] = await ask('eth_accounts');
  const hash = await ask('eth_sendTransaction', { from, data, gas: '0x2dc6c0', ...more });
  const receipt = await receiptOf(hash);
  if (receipt.status !== '0x1') throw new Error(`the transaction ${hash} did not succeed`);
  return receipt;
}

const call = (method, ...words) => `0x${token.methods[method]}${words.map(word).join('')}`;

if (command === 'token' && node) {
  const { contractAddress } = await send(token.bytecode + word(DECIMALS));
  const [first] = await ask('eth_accounts');
  await send(call('mint(address,uint256)', first, units('1000000', DECIMALS)), { to: contractAddress });
  console.log(contractAddress);
} else if (command === 'pay' && amount) {
  const { transactionHash } = await send(call('transfer(address,uint256)', to, units(amount, DECIMALS)), { to: contract });
  console.log(transactionHash);
} else {
  console.error('usage: node chain.mjs token NODE | node chain.mjs pay NODE CONTRACT TO AMOUNT');
  process.exitCode = 2;
}
