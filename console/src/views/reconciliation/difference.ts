// What changed between two runs of a day, by the key of the payment and its occurrence.
import type { Schemas } from '../../api/client';

type Result = Pick<Schemas['ReconciliationResult'], 'client_operation_id' | 'occurrence' | 'match_status' | 'discrepancy_type'>;

export interface Difference<T extends Result> {
  /** Only in the later run. */
  readonly appeared: readonly T[];
  /** Only in the earlier run. */
  readonly gone: readonly T[];
  readonly changed: readonly { readonly before: T; readonly after: T }[];
}

const keyOf = ({ client_operation_id, occurrence }: Result) => `${client_operation_id ?? ''}\u0000${occurrence}`;

export function differenceOf<T extends Result>(earlier: readonly T[], later: readonly T[]): Difference<T> {
  const before = new Map(earlier.map((result) => [keyOf(result), result]));
  const after = new Map(later.map((result) => [keyOf(result), result]));
  return {
    appeared: later.filter((result) => !before.has(keyOf(result))),
    gone: earlier.filter((result) => !after.has(keyOf(result))),
    changed: later.flatMap((result) => {
      const old = before.get(keyOf(result));
      const same = !old || (old.match_status === result.match_status && old.discrepancy_type === result.discrepancy_type);
      return same ? [] : [{ before: old, after: result }];
    }),
  };
}
