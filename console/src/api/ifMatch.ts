// A change of one thing is meant for the version that the person saw: if anyone has changed it since, the service refuses the
// change with 412 and leaves it as it is (docs/concurrent-changes.md).
import { ApiError } from './problem';

/** The header of a change. A key of the settings has no version, and no changes. */
export function ifMatch({ etag }: { readonly etag: string | null }): { 'If-Match'?: string } {
  return etag === null ? {} : { 'If-Match': etag };
}

export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 412;
}
