// A schedule in words. The usual forms of cron have a sentence; another one is shown as it is written, which is exact.
import type { Messages } from '../../messages/index.svelte';

type Words = Messages['jobs']['schedule'];

const INTERVAL = /^every (\d+) s$/;
const NUMBER = /^\d+$/;
const STEP = /^(?:\*|0)\/(\d+)$/;

function interval(seconds: number, words: Words): string {
  if (seconds % 3600 === 0) return words.hours(seconds / 3600);
  if (seconds % 60 === 0) return words.minutes(seconds / 60);
  return words.seconds(seconds);
}

/** `dayName` names a weekday of cron: 0 (or 7) for Sunday. */
export function scheduleWords(expression: string, words: Words, dayName: (day: number) => string): string {
  const seconds = INTERVAL.exec(expression)?.[1];
  if (seconds) return interval(Number(seconds), words);
  const fields = expression.trim().split(/\s+/);
  // With six fields the first are seconds.
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = fields.length === 6 ? fields.slice(1) : fields;
  if ((fields.length === 6 && fields[0] !== '0') || month !== '*' || fields.length < 5) return expression;
  const anyDay = (day === '*' || day === '?') && (weekday === '*' || weekday === '?');
  const time = `${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`;
  if (anyDay && hour === '*') {
    if (minute === '*') return words.minutes(1);
    const step = STEP.exec(minute)?.[1];
    if (step) return words.minutes(Number(step));
    return NUMBER.test(minute) ? words.hourly(minute) : expression;
  }
  if (!NUMBER.test(minute)) return expression;
  const step = STEP.exec(hour)?.[1];
  if (anyDay && step && minute === '0') return words.hours(Number(step));
  if (!NUMBER.test(hour)) return expression;
  if (anyDay) return words.daily(time);
  if ((day === '*' || day === '?') && NUMBER.test(weekday)) return words.weekly(dayName(Number(weekday) % 7), time);
  if (NUMBER.test(day) && (weekday === '*' || weekday === '?')) return words.monthly(Number(day), time);
  return expression;
}
