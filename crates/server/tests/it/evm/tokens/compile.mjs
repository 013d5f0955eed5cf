// Makes tokens.json of the two contracts beside it. To be run where `npm i solc@0.8.37` was:
//   node <here>/compile.mjs
// No metadata is appended, so that the same compiler makes the same bytes.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(`${process.cwd()}/`)("solc");
const names = ["TestToken", "SilentToken"];
const here = (name) => new URL(name, import.meta.url);
const source = (name) => [`${name}.sol`, { content: readFileSync(here(`${name}.sol`), "utf8") }];
const settings = {
    viaIR: true,
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "paris",
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["evm.bytecode.object", "evm.methodIdentifiers"] } },
};
const input = { language: "Solidity", sources: Object.fromEntries(names.map(source)), settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) {
    throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
}
const token = (name) => {
    const { bytecode, methodIdentifiers } = output.contracts[`${name}.sol`][name].evm;
    return [name, { bytecode: `0x${bytecode.object}`, methods: methodIdentifiers }];
};
const tokens = { compiler: solc.version(), ...Object.fromEntries(names.map(token)) };
writeFileSync(here("tokens.json"), `${JSON.stringify(tokens, null, 2)}\n`);
