// The progress of a job, as far as its kind says it: most count records or rows, some know the total.

export interface Progress {
  readonly done: number;
  readonly total: number | null;
}

export function progressOf(value: unknown): Progress | null {
  if (typeof value !== 'object' || value === null) return null;
  const fields = value as Record<string, unknown>;
  const done = ['progress', 'rows', 'done'].map((name) => fields[name]).find((each) => typeof each === 'number');
  if (done === undefined) return null;
  const total = fields['total'];
  return { done: done as number, total: typeof total === 'number' && total > 0 ? total : null };
}
