// Generates src/api/generated from ../openapi/openapi.json: the types of the client, and which features the API has.
// Neither is committed: they cannot differ from the document, and the document is what is reviewed.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';

const document = new URL('../../openapi/openapi.json', import.meta.url);
const folder = new URL('../src/api/generated/', import.meta.url);

// What this console can use and an older service may lack: an operation, or a query parameter or response field of one.
// A view asks `features.NAME` (src/api/generated/features.ts) and leaves out what the service that embeds it does not have.
const FEATURES = {
  explainTransaction: ({ paths }) => paths['/api/v1/transactions/{id}/explain']?.get,
  explainPayment: ({ paths }) => paths['/api/v1/explain/payment']?.get,
  lookup: ({ paths }) => paths['/api/v1/transactions/lookup']?.post,
  countPayments: ({ paths }) => hasParameter(paths['/api/v1/metrics/overview']?.get, 'count'),
  failures: ({ paths }) => paths['/api/v1/metrics/failures']?.get,
  merchant: ({ paths }) => paths['/api/v1/merchants/{project}/{merchant_id}']?.get,
  queueHistory: ({ paths }) => paths['/api/v1/queues/history']?.get,
  workers: ({ paths }) => paths['/api/v1/workers']?.get,
  jobTimeFilter: ({ paths }) => hasParameter(paths['/api/v1/jobs']?.get, 'created_from'),
  jobErrorFilter: ({ paths }) => hasParameter(paths['/api/v1/jobs']?.get, 'error'),
  bulkActions: ({ paths }) => paths['/api/v1/bulk-actions']?.post,
  views: ({ paths }) => paths['/api/v1/views']?.get,
};

function hasParameter(operation, name) {
  return operation?.parameters?.some((parameter) => parameter.name === name);
}

const types = astToString(await openapiTS(document, { alphabetize: true, defaultNonNullable: false }));
const parsed = JSON.parse(await readFile(document, 'utf8'));
await mkdir(folder, { recursive: true });
await writeFile(new URL('schema.d.ts', folder), types);
const found = Object.entries(FEATURES).map(([name, look]) => `  ${name}: ${Boolean(look(parsed))},`);
await writeFile(
  new URL('features.ts', folder),
  `export const features: Readonly<Record<${Object.keys(FEATURES).map((name) => `'${name}'`).join(' | ')}, boolean>> = {\n${found.join('\n')}\n};\n`,
);

// Names without a translation, to filter by.
const { JobKind, QueueName } = parsed.components.schemas;
await writeFile(
  new URL('names.ts', folder),
  `export const JOB_KINDS: readonly string[] = ${JSON.stringify(JobKind.enum)};\nexport const QUEUE_NAMES: readonly string[] = ${JSON.stringify(QueueName.enum)};\n`,
);
