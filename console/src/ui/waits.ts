// Why a job waits, as a sentence. What the API has no field for (who paused the queue, the error) is only in its own sentence.
import type { Schemas } from '../api/client';
import type { Messages } from '../messages/index.svelte';

type WaitReason = Schemas['WaitReason'];

const SAYS_MORE: ReadonlySet<Schemas['WaitCode']> = new Set(['queue_paused', 'retry', 'free_slot', 'login_pause']);

/** A code of another release is said in the words of the API. */
export function waitSentence({ code, at, count, message }: WaitReason, words: Messages, time: (at: string) => string): string {
  const say = words.explanations.wait;
  switch (code) {
    case 'queue_paused':
    case 'not_due':
    case 'retry':
    case 'rescue':
    case 'login_pause':
    case 'rate_limit':
      return at === null ? message : say[code](time(at));
    case 'isolation':
    case 'urgent_jobs':
      return count === null ? message : say[code](count);
    case 'no_worker':
    case 'no_scheduler':
    case 'limit':
    case 'free_slot':
      return say[code];
    default:
      return message;
  }
}

export function originalWaits(reasons: readonly WaitReason[]): string[] {
  return reasons.filter(({ code }) => SAYS_MORE.has(code)).map(({ message }) => message);
}
