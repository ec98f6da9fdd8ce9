// The days of a month's calendar, and how good a day is.
import type { Schemas } from '../../api/client';
import { addDays, weekday } from '../../lib/time';

export function isMonth(text: string | null): text is string {
  return text !== null && /^\d{4}-(0[1-9]|1[0-2])$/.test(text);
}

export function moveMonth(month: string, by: number): string {
  const [year = 0, number = 1] = month.split('-').map(Number);
  const months = year * 12 + number - 1 + by;
  return `${Math.floor(months / 12)}-${String((months % 12) + 1).padStart(2, '0')}`;
}

/** Whole weeks from Monday; days of other months are null. */
export function weeksOf(month: string): (string | null)[][] {
  const first = `${month}-01`;
  const weeks: (string | null)[][] = [];
  let day = addDays(first, -weekday(first));
  do {
    weeks.push(Array.from({ length: 7 }, (_, index) => addDays(day, index)).map((each) => (each.startsWith(month) ? each : null)));
    day = addDays(day, 7);
  } while (day.startsWith(month));
  return weeks;
}

export type Grade = 'good' | 'fair' | 'poor' | 'none';

export function gradeOf(summary: Pick<Schemas['ReconciliationSummary'], 'run_id' | 'matched' | 'pending'> | undefined): Grade {
  if (!summary || summary.run_id === null) return 'none';
  // What is pending is not wrong: only what was judged counts.
  const judged = 100 - summary.pending.percentage;
  const rate = judged > 0 ? (summary.matched.percentage / judged) * 100 : 100;
  if (rate >= 99.5) return 'good';
  return rate >= 97 ? 'fair' : 'poor';
}
