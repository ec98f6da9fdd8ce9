// Fails if the build is larger than agreed: gzipped, what the first view loads, and everything together.
import { readdir, readFile, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const KILOBYTE = 1000;
const FIRST_VIEW = 120 * KILOBYTE;
const TOTAL = 250 * KILOBYTE;
// The start page and one language are loaded on demand, but always.
const ALWAYS = /^(index|Inbox|en)-/;

const assets = fileURLToPath(new URL('../dist/assets', import.meta.url));
const html = await readFile(fileURLToPath(new URL('../dist/index.html', import.meta.url)), 'utf8');
const sizes = new Map();
for (const name of await readdir(assets)) {
  if (name.endsWith('.gz')) sizes.set(name.slice(0, -3), (await stat(`${assets}/${name}`)).size);
}

const imports = /from ?"\.\/([^"]+)"|import ?"\.\/([^"]+)"/g;
const first = new Set();
async function follow(name) {
  if (first.has(name) || !sizes.has(name)) return;
  first.add(name);
  if (!name.endsWith('.js')) return;
  const text = await readFile(`${assets}/${name}`, 'utf8');
  for (const [, from, bare] of text.matchAll(imports)) await follow(from ?? bare);
}
for (const name of sizes.keys()) {
  if (ALWAYS.test(name) || html.includes(`/assets/${name}"`)) await follow(name);
}

const sum = (names) => [...names].reduce((bytes, name) => bytes + sizes.get(name), 0);
const report = [
  ['first view', sum(first), FIRST_VIEW],
  ['total', sum(sizes.keys()), TOTAL],
];
for (const [what, bytes, limit] of report) {
  const over = bytes > limit;
  console.log(`${what}: ${(bytes / KILOBYTE).toFixed(1)} kB of ${limit / KILOBYTE} kB gzipped${over ? ' (too large)' : ''}`);
  if (over) process.exitCode = 1;
}
if (process.exitCode) for (const [name, bytes] of sizes) console.log(`  ${name}: ${(bytes / KILOBYTE).toFixed(1)} kB`);
