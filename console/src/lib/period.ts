// The period of a view: a name that moves with the calendar (`7d` is shared as "the last seven days"), or two days.
import { addDays, daysBetween, isDay, weekday } from './time';

export const PRESETS = ['today', 'yesterday', 'week', '7d', 'month', '30d'] as const;
export type Preset = (typeof PRESETS)[number];

export interface Period {
  readonly preset: Preset | null;
  readonly from: string;
  readonly to: string;
}

export function isPreset(text: string | null): text is Preset {
  return PRESETS.includes(text as Preset);
}

export function presetPeriod(preset: Preset, today: string): Period {
  switch (preset) {
    case 'today':
      return { preset, from: today, to: today };
    case 'yesterday':
      return { preset, from: addDays(today, -1), to: addDays(today, -1) };
    case 'week':
      return { preset, from: addDays(today, -weekday(today)), to: today };
    case '7d':
      return { preset, from: addDays(today, -6), to: today };
    case '30d':
      return { preset, from: addDays(today, -29), to: today };
    case 'month':
      return { preset, from: `${today.slice(0, 8)}01`, to: today };
  }
}

/** Reads the period of a URL; what cannot be read is the default, so that an old link still opens. */
export function readPeriod(query: URLSearchParams, today: string, fallback: Preset): Period {
  const preset = query.get('period');
  if (isPreset(preset)) return presetPeriod(preset, today);
  const from = query.get('from_date') ?? '';
  const to = query.get('to_date') ?? '';
  if (isDay(from) && isDay(to) && from <= to) return { preset: null, from, to };
  return presetPeriod(fallback, today);
}

export function periodQuery(period: Period): Record<string, string | null> {
  if (period.preset) return { period: period.preset, from_date: null, to_date: null };
  return { period: null, from_date: period.from, to_date: period.to };
}

export function lengthOf({ from, to }: Period): number {
  return daysBetween(from, to) + 1;
}

/** What a period is compared with: the same part of the week or month before, otherwise as many days before. */
export function previousPeriod(period: Period): Period {
  const { preset, from, to } = period;
  if (preset === 'week') return { preset: null, from: addDays(from, -7), to: addDays(to, -7) };
  if (preset === 'month') {
    const last = addDays(from, -1);
    const first = `${last.slice(0, 8)}01`;
    const sameDay = addDays(first, lengthOf(period) - 1);
    // The month before may be shorter than what has passed of this one.
    return { preset: null, from: first, to: sameDay < last ? sameDay : last };
  }
  return { preset: null, from: addDays(from, -lengthOf(period)), to: addDays(from, -1) };
}
