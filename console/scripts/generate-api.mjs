// Generates src/api/generated from ../openapi/openapi.json: the types of the client, and the names that filters offer.
// Neither is committed: they cannot differ from the document, and the document is what is reviewed.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const document = new URL('../../openapi/openapi.json', import.meta.url);
const folder = new URL('../src/api/generated/', import.meta.url);

const types = astToString(await openapiTS(document, { alphabetize: true, defaultNonNullable: false }));
const parsed = JSON.parse(await readFile(document, 'utf8'));
await mkdir(folder, { recursive: true });
await writeFile(new URL('schema.d.ts', folder), types);

// Names without a translation, to filter by.
const { JobKind, QueueName } = parsed.components.schemas;
await writeFile(
  new URL('names.ts', folder),
  `export const JOB_KINDS = ${JSON.stringify(JobKind.enum)} as const;\nexport const QUEUE_NAMES = ${JSON.stringify(QueueName.enum)} as const;\n`,
);
