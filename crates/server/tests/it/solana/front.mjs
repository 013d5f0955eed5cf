// A Solana node for tests: the real runtime and the real token programs (litesvm) behind the few methods of the JSON-RPC
// API that a watcher asks, as Solana's documentation has them, and a few of its own (`test_..`) to make tokens and to pay.
//
// Nothing happens by the clock: what is sent waits until `test_finalize` runs it at the slot and the time that the test
// names. Everything that is shown is finalized. Arguments: the folder with the packages, a port (0: any), a file for the
// state, which a second start reads.

import { createRequire } from 'node:module'
import { createServer } from 'node:http'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [folder, port, stateFile] = process.argv.slice(2)
const load = createRequire(join(folder, 'package.json'))
const { LiteSvm, Account, Clock, FailedTransactionMetadata } = load('litesvm/dist/internal.js')
const web3 = load('@solana/web3.js')
const spl = load('@solana/spl-token')
const bs58 = load('bs58').default ?? load('bs58')
const { Keypair, PublicKey, SystemProgram, Transaction, TransactionMessage, VersionedTransaction } = web3

const GENESIS = bs58.encode(Buffer.alloc(32, 7))
const MOST_SIGNATURES = 1000
const PROGRAMS = { token: spl.TOKEN_PROGRAM_ID, 'token-2022': spl.TOKEN_2022_PROGRAM_ID }
const payer = Keypair.fromSeed(Buffer.alloc(32, 200))
/** The wallets of the tests' pool, whose keys only `payInner` needs. */
const wallets = Array.from({ length: 20 }, (_, at) => Keypair.fromSeed(Buffer.alloc(32, at + 1)))

let svm
/** Transactions that were run, oldest first, and those that wait. */
let ran = []
let waiting = []
let count = 0

function begin() {
  if (existsSync(stateFile)) {
    svm = LiteSvm.loadFromFile(stateFile)
    ;({ ran, count } = JSON.parse(readFileSync(`${stateFile}.json`, 'utf8')))
  } else {
    svm = new LiteSvm()
    svm.setTransactionHistory(0n)
    svm.airdrop(payer.publicKey.toBytes(), 1_000_000_000_000n)
  }
}

function keep() {
  svm.saveToFile(stateFile)
  writeFileSync(`${stateFile}.json`, JSON.stringify({ ran, count }))
}

function account(key) {
  const found = svm.getAccount(new PublicKey(key).toBytes())
  return found && found.lamports() > 0n ? found : null
}

/** The token accounts among some, as `preTokenBalances` shows them. */
function balances(keys) {
  const programs = Object.values(PROGRAMS).map(String)
  if (!keys.some((key) => programs.includes(key))) return []
  return keys.flatMap((key, accountIndex) => {
    const found = account(key)
    const programId = found && new PublicKey(found.owner()).toBase58()
    if (!found || !programs.includes(programId)) return []
    const data = Buffer.from(found.data())
    const isTokens = data.length === 165 || (data.length > 165 && data[165] === 2)
    if (!isTokens || data[108] === 0) return []
    const mint = new PublicKey(data.subarray(0, 32)).toBase58()
    const decimals = Buffer.from(account(mint).data())[44]
    const amount = data.readBigUInt64LE(64).toString()
    const owner = new PublicKey(data.subarray(32, 64)).toBase58()
    return [{ accountIndex, mint, owner, programId, uiTokenAmount: { amount, decimals, uiAmount: null, uiAmountString: '' } }]
  })
}

/** Runs what waits. `clock` is where the chain is then. */
function finalize({ slot, time }) {
  svm.setClock(new Clock(BigInt(slot), 0n, 0n, 0n, BigInt(time)))
  for (const { bytes, version, signature, keys, loaded } of waiting.splice(0)) {
    const all = [...keys, ...loaded.writable, ...loaded.readonly]
    const pre = balances(all)
    const raw = Buffer.from(bytes, 'base64')
    const outcome = version === 'legacy' ? svm.sendLegacyTransaction(raw) : svm.sendVersionedTransaction(raw)
    const err = outcome instanceof FailedTransactionMetadata ? { InstructionError: [0, String(outcome.err())] } : null
    ran.push({ signature, slot, time, err, version, keys, loaded, pre, post: balances(all) })
  }
  keep()
  return slot
}

/** Puts a transaction among those that wait; answers its signature. */
function send(bytes) {
  const transaction = VersionedTransaction.deserialize(bytes)
  const message = transaction.message
  const keys = message.staticAccountKeys.map(String)
  const loaded = { writable: [], readonly: [] }
  for (const lookup of message.addressTableLookups) {
    const table = Buffer.from(account(lookup.accountKey).data()).subarray(56)
    const at = (index) => new PublicKey(table.subarray(32 * index, 32 * index + 32)).toBase58()
    loaded.writable.push(...lookup.writableIndexes.map(at))
    loaded.readonly.push(...lookup.readonlyIndexes.map(at))
  }
  const signature = bs58.encode(transaction.signatures[0])
  waiting.push({ bytes: Buffer.from(bytes).toString('base64'), version: transaction.version, signature, keys, loaded })
  return signature
}

/** A transaction of the payer's. `table`: a versioned one that takes what it can from a lookup table. */
function sign(instructions, signers, table) {
  // The same instructions twice are two transactions.
  const unique = SystemProgram.transfer({ fromPubkey: payer.publicKey, toPubkey: payer.publicKey, lamports: ++count })
  const recentBlockhash = svm.latestBlockhash()
  if (table) {
    const addresses = instructions.flatMap((one) => one.keys.filter((key) => !key.isSigner).map((key) => key.pubkey))
    const lookup = makeTable([...new Set(addresses.map(String))].map((key) => new PublicKey(key)))
    const message = new TransactionMessage({
      payerKey: payer.publicKey, recentBlockhash, instructions: [...instructions, unique],
    }).compileToV0Message([lookup])
    const transaction = new VersionedTransaction(message)
    transaction.sign([payer, ...signers])
    return transaction.serialize()
  }
  const transaction = new Transaction({ feePayer: payer.publicKey, recentBlockhash }).add(...instructions, unique)
  transaction.sign(payer, ...signers)
  return transaction.serialize({ verifySignatures: false })
}

/** A lookup table as its program keeps one: 56 bytes, then the addresses. */
function makeTable(addresses) {
  const key = Keypair.generate().publicKey
  const head = Buffer.alloc(56)
  head.writeUInt32LE(1, 0)
  head.writeBigUInt64LE(2n ** 64n - 1n, 4)
  const data = Buffer.concat([head, ...addresses.map((address) => address.toBuffer())])
  const owner = web3.AddressLookupTableProgram.programId.toBytes()
  svm.setAccount(key.toBytes(), new Account(10_000_000_000n, data, owner, false, 0n))
  return new web3.AddressLookupTableAccount({ key, state: web3.AddressLookupTableAccount.deserialize(data) })
}

/** A mint of which the payer has much; with `fee_bps` it keeps that share of each transfer. */
function makeToken({ decimals, program, fee_bps: fee }) {
  const mint = Keypair.generate()
  const programId = PROGRAMS[program]
  const space = spl.getMintLen(fee ? [spl.ExtensionType.TransferFeeConfig] : [])
  const own = spl.getAssociatedTokenAddressSync(mint.publicKey, payer.publicKey, false, programId)
  const instructions = [
    SystemProgram.createAccount({
      fromPubkey: payer.publicKey, newAccountPubkey: mint.publicKey, space,
      lamports: Number(svm.minimumBalanceForRentExemption(BigInt(space))), programId,
    }),
  ]
  if (fee) {
    const config = [mint.publicKey, payer.publicKey, payer.publicKey, fee, 2n ** 63n, programId]
    instructions.push(spl.createInitializeTransferFeeConfigInstruction(...config))
  }
  instructions.push(
    spl.createInitializeMint2Instruction(mint.publicKey, decimals, payer.publicKey, null, programId),
    spl.createAssociatedTokenAccountInstruction(payer.publicKey, own, payer.publicKey, mint.publicKey, programId),
    spl.createMintToInstruction(mint.publicKey, own, payer.publicKey, 10n ** 18n, [], programId),
  )
  send(sign(instructions, [mint]))
  return mint.publicKey.toBase58()
}

/** Pays in one transaction: to each wallet so much of a mint. `plain`: by the older instruction without the mint. */
function pay(payments, { table = false, plain = false } = {}) {
  const instructions = payments.flatMap(({ mint: name, to, raw }) => {
    const mint = new PublicKey(name)
    const programId = new PublicKey(account(name).owner())
    const decimals = Buffer.from(account(name).data())[44]
    const wallet = new PublicKey(to)
    const from = spl.getAssociatedTokenAddressSync(mint, payer.publicKey, false, programId)
    const into = spl.getAssociatedTokenAddressSync(mint, wallet, false, programId)
    const make = [payer.publicKey, into, wallet, mint, programId]
    const amount = BigInt(raw)
    return [
      spl.createAssociatedTokenAccountIdempotentInstruction(...make),
      plain
        ? spl.createTransferInstruction(from, into, payer.publicKey, amount, [], programId)
        : spl.createTransferCheckedInstruction(from, mint, into, payer.publicKey, amount, decimals, [], programId),
    ]
  })
  return send(sign(instructions, [], table))
}

/** Pays by an inner instruction: what was sent to an account that belongs to a wallet's account of the mint `via` is brought
 * to the wallet's own account by the program of such accounts. Two transactions. */
function payInner({ mint: name, via: viaName, to, raw }) {
  const [mint, via, wallet] = [name, viaName, to].map((key) => new PublicKey(key))
  const signer = wallets.find((one) => one.publicKey.equals(wallet))
  const from = spl.getAssociatedTokenAddressSync(mint, payer.publicKey)
  const outer = spl.getAssociatedTokenAddressSync(via, wallet)
  const nested = spl.getAssociatedTokenAddressSync(mint, outer, true)
  const into = spl.getAssociatedTokenAddressSync(mint, wallet)
  send(sign([
    spl.createAssociatedTokenAccountIdempotentInstruction(payer.publicKey, outer, wallet, via),
    spl.createAssociatedTokenAccountInstruction(payer.publicKey, nested, outer, mint),
    spl.createTransferInstruction(from, nested, payer.publicKey, BigInt(raw)),
  ], []))
  return send(sign([
    spl.createAssociatedTokenAccountIdempotentInstruction(payer.publicKey, into, wallet, mint),
    spl.createRecoverNestedInstruction(nested, mint, into, outer, via, wallet),
  ], [signer]))
}

const now = () => Number(svm.getClock().slot)

function shown(found, slice) {
  if (!found) return null
  const data = Buffer.from(found.data())
  const part = slice ? data.subarray(slice.offset, slice.offset + slice.length) : data
  return {
    data: [part.toString('base64'), 'base64'], executable: found.executable(), lamports: Number(found.lamports()),
    owner: new PublicKey(found.owner()).toBase58(), rentEpoch: 0, space: data.length,
  }
}

function refuse(code, message) {
  throw Object.assign(new Error(message), { code })
}

function check(options) {
  if (options?.commitment !== 'finalized') refuse(-32602, 'this node shows what is finalized')
  if ((options.minContextSlot ?? 0) > now()) refuse(-32016, 'Minimum context slot has not been reached')
}

const methods = {
  getGenesisHash: () => GENESIS,
  getMultipleAccounts: (keys, options) => {
    check(options)
    if (keys.length > 100) refuse(-32602, 'Too many inputs provided; max 100')
    const value = keys.map((key) => shown(account(key), options.dataSlice))
    return { context: { apiVersion: '2.2.7', slot: now() }, value }
  },
  getSignaturesForAddress: (key, options) => {
    check(options)
    const listed = ran.filter((one) => [...one.keys, ...one.loaded.writable, ...one.loaded.readonly].includes(key)).reverse()
    const place = (signature) => listed.findIndex((one) => one.signature === signature)
    const from = options.before ? place(options.before) + 1 : 0
    const until = options.until ? place(options.until) : -1
    const part = listed.slice(from, until < 0 ? undefined : until).slice(0, options.limit ?? MOST_SIGNATURES)
    return part.map(({ signature, slot, time, err }) =>
      ({ signature, slot, err, memo: null, blockTime: time, confirmationStatus: 'finalized' }))
  },
  getTransaction: (signature, options) => {
    check(options)
    const one = ran.find((one) => one.signature === signature)
    if (!one) return null
    if (one.version !== 'legacy' && options.maxSupportedTransactionVersion === undefined) {
      refuse(-32015, 'Transaction version (0) is not supported by the requesting client')
    }
    const lookups = one.loaded.writable.length + one.loaded.readonly.length > 0 ? [{}] : []
    const message = { accountKeys: one.keys, ...(one.version === 0 ? { addressTableLookups: lookups } : {}) }
    return {
      slot: one.slot, blockTime: one.time, version: one.version,
      meta: { err: one.err, preTokenBalances: one.pre, postTokenBalances: one.post, loadedAddresses: one.loaded },
      transaction: { signatures: [signature], message },
    }
  },
  test_token: makeToken,
  test_pay: pay,
  test_pay_inner: payInner,
  test_finalize: finalize,
}

function answer({ id, method, params }) {
  try {
    if (!methods[method]) refuse(-32601, 'Method not found')
    return { jsonrpc: '2.0', id, result: methods[method](...(params ?? [])) }
  } catch (error) {
    return { jsonrpc: '2.0', id, error: { code: error.code ?? -32603, message: String(error.message) } }
  }
}

begin()
const server = createServer((request, response) => {
  let text = ''
  request.on('data', (part) => (text += part))
  request.on('end', () => {
    const body = JSON.stringify(answer(JSON.parse(text)))
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body)
  })
})
server.listen(Number(port), '127.0.0.1', () => console.log(`Listening on 127.0.0.1:${server.address().port}`))
