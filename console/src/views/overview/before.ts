// What a period is compared with, in words: it is not the same for every period, and "before" alone could mean anything.
import { lengthOf, type Period } from '../../lib/period';
import type { Messages } from '../../messages/index.svelte';

export function beforeWords(period: Period, words: Messages): string {
  const { before } = words.overview;
  switch (period.preset) {
    case 'today':
    case 'yesterday':
    case 'week':
    case 'month':
      return before[period.preset];
    default:
      return before.days(lengthOf(period));
  }
}

export function againstWords(period: Period, today: string, words: Messages): string {
  const before = beforeWords(period, words);
  return period.to < today ? words.overview.against(before) : words.overview.againstSoFar(before);
}
