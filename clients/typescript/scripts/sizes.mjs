/**
 * Prints what each entry point of the built package costs a page, and fails where the package promised otherwise: the
 * stream code stays below 2 KiB compressed, and the hooks keep their `"use client"`.
 *
 * Counted is the entry with all it imports from this package, bundled; the schema library and the peers are not. What is
 * loaded only on demand has a line of its own. Run it after the build.
 */
import { readFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';

// The bundler under tsdown, at the version that tsdown uses: they move together.
import { rolldown } from 'rolldown';

const STREAM_LIMIT_BYTES = 2_048;
const ENTRIES = ['index', 'stream', 'swr', 'react', 'server'];
const CLIENT_ENTRIES = ['swr', 'react'];
const EXTERNAL = /^(?:valibot|react|swr)(?:\/|$)/;

/** The chunks of an entry: what is loaded at once as one text, and what is loaded on demand. */
async function bundled(input, minify, external) {
  const bundle = await rolldown({ input, external, logLevel: 'warn' });
  const { output } = await bundle.generate({ format: 'esm', minify });
  await bundle.close();
  const byName = new Map(output.map((chunk) => [chunk.fileName, chunk]));
  const atOnce = new Set();
  const visit = (chunk) => {
    if (chunk === undefined || atOnce.has(chunk)) return;
    atOnce.add(chunk);
    for (const name of chunk.imports) visit(byName.get(name));
  };
  visit(output.find((chunk) => chunk.isEntry));
  const text = (chunks) => chunks.map((chunk) => chunk.code).join('\n');
  return { atOnce: text([...atOnce]), onDemand: text(output.filter((chunk) => !atOnce.has(chunk))) };
}

function line(name, plain, minified) {
  const sizes = [Buffer.byteLength(plain), Buffer.byteLength(minified), gzipSync(minified, { level: 9 }).length];
  console.log(name.padEnd(28) + sizes.map((size) => String(size).padStart(9)).join(''));
  return sizes[2];
}

async function main() {
  console.log('bytes'.padEnd(28) + ['raw', 'minified', 'gzip'].map((head) => head.padStart(9)).join(''));
  const problems = [];
  for (const entry of ENTRIES) {
    const input = `dist/${entry}.js`;
    const [plain, minified] = [await bundled(input, false, EXTERNAL), await bundled(input, true, EXTERNAL)];
    const gzip = line(entry, plain.atOnce, minified.atOnce);
    if (entry === 'stream') {
      line('stream, where no EventSource', plain.onDemand, minified.onDemand);
      const whole = [await bundled(input, false, /^$/), await bundled(input, true, /^$/)];
      line('stream, with valibot', whole[0].atOnce, whole[1].atOnce);
      if (gzip >= STREAM_LIMIT_BYTES) problems.push(`the stream has ${gzip} bytes; the limit is below ${STREAM_LIMIT_BYTES}`);
    }
  }
  for (const entry of CLIENT_ENTRIES) {
    const text = await readFile(`dist/${entry}.js`, 'utf8');
    if (!text.startsWith('"use client";')) problems.push(`dist/${entry}.js has lost its "use client"`);
  }
  for (const problem of problems) console.error(`error: ${problem}`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

await main();
