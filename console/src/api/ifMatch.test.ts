import { describe, expect, it } from 'vitest';
import { ifMatch, isConflict } from './ifMatch';
import { fromProblem } from './problem';

describe('changes of one version', () => {
  it('sends the tag as it was received, with its quotes', () => {
    expect(ifMatch({ etag: '"3"' })).toEqual({ 'If-Match': '"3"' });
    expect(ifMatch({ etag: null })).toEqual({});
  });

  it('tells a conflict from other refusals', () => {
    const refused = (status: number) => fromProblem(new Response(null, { status }), { detail: 'No.' });
    expect([412, 409, 404].map((status) => isConflict(refused(status)))).toEqual([true, false, false]);
    expect(isConflict(new Error('No.'))).toBe(false);
  });
});
