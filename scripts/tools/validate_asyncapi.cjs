// Validates an AsyncAPI document with AsyncAPI's own parser. Any warning is an error.

const fs = require('node:fs');
const { Parser } = require('@asyncapi/parser');

async function main(path) {
  const { document, diagnostics } = await new Parser().parse(fs.readFileSync(path, 'utf8'));
  // The severity 0 is an error, 1 a warning; the others are advice.
  const problems = diagnostics.filter(({ severity }) => severity <= 1);
  for (const { code, message, path: place } of problems) console.error(`${place.join('/')}: ${message} (${code})`);
  if (!document || problems.length > 0) process.exit(1);
  console.log(`${path}: ${document.allMessages().length} messages, valid`);
}

main(process.argv[2]);
