// The example is meant to be read in one sitting: what is not code for it does not belong here.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const LIMIT = 200;

const filesBelow = (folder) =>
  readdirSync(folder)
    .map((name) => join(folder, name))
    .flatMap((path) => (statSync(path).isDirectory() ? filesBelow(path) : [path]));

test(`the app has fewer than ${LIMIT} lines`, (t) => {
  const linesOf = (path) => readFileSync(path, 'utf8').trimEnd().split('\n').length;
  const counts = filesBelow(fileURLToPath(new URL('../app', import.meta.url))).map((path) => [linesOf(path), path]);
  const total = counts.reduce((sum, [lines]) => sum + lines, 0);
  t.diagnostic(`${total} lines in ${counts.length} files`);
  const largest = counts.sort(([a], [b]) => b - a).map(([lines, path]) => `${lines} ${path}`);
  assert.ok(total < LIMIT, `${total} lines are too many:\n${largest.join('\n')}`);
});
