// Instants are RFC 3339 text in UTC; days are `YYYY-MM-DD` in a zone. `Intl` knows the zones; no library is needed.

const DAY_MS = 86_400_000;

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale + JSON.stringify(options);
  let found = formatters.get(key);
  if (!found) {
    // Day before month and 24 hours, as in the rest of the world that uses the console.
    found = new Intl.DateTimeFormat(locale === 'en' ? 'en-GB' : locale, options);
    formatters.set(key, found);
  }
  return found;
}

export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** The day in a zone at an instant. */
export function dayIn(zone: string, instant: Date): string {
  const parts = formatter('en-CA', { timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit' });
  return parts.format(instant);
}

export function addDays(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

export function daysBetween(from: string, to: string): number {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY_MS);
}

/** The weekday of a day: 0 for Monday. */
export function weekday(day: string): number {
  return (new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7;
}

export function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const parsed = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(parsed) && new Date(parsed).toISOString().startsWith(text);
}

function offsetAt(zone: string, instant: Date): number {
  const options = { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
  const parts = Object.fromEntries(formatter('en', options).formatToParts(instant).map(({ type, value }) => [type, value]));
  const local = Date.parse(`${parts['year']}-${parts['month']}-${parts['day']}T${parts['hour']}:${parts['minute']}:${parts['second']}Z`);
  return local - Math.floor(instant.getTime() / 1000) * 1000;
}

/** The first instant of a day in a zone. */
export function startOfDay(zone: string, day: string): Date {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // The offset can differ between the guess and the answer if clocks change on that day: look a second time.
  const guess = new Date(midnight - offsetAt(zone, new Date(midnight)));
  return new Date(midnight - offsetAt(zone, guess));
}

/** How many hours a day has: 24, or 23 or 25 when clocks change. */
export function hoursOfDay(zone: string, day: string): number {
  return (startOfDay(zone, addDays(day, 1)).getTime() - startOfDay(zone, day).getTime()) / 3_600_000;
}

export function formatInstant(instant: string, zone: string, locale: string): string {
  return formatter(locale, { timeZone: zone, dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' }).format(new Date(instant));
}

/** Compact, for tables: the time for today, the day and time otherwise. */
export function formatShort(instant: string, zone: string, locale: string, now: Date): string {
  const time = new Date(instant);
  const clock = { timeZone: zone, hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' } as const;
  if (dayIn(zone, time) === dayIn(zone, now)) return formatter(locale, clock).format(time);
  return formatter(locale, { ...clock, day: 'numeric', month: 'short' }).format(time);
}

export function formatHour(instant: string, zone: string, locale: string): string {
  return formatter(locale, { timeZone: zone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(new Date(instant));
}

export function formatDay(day: string, locale: string): string {
  return formatter(locale, { timeZone: 'UTC', dateStyle: 'medium' }).format(new Date(`${day}T00:00:00Z`));
}

export function formatDayShort(day: string, locale: string): string {
  return formatter(locale, { timeZone: 'UTC', day: 'numeric', month: 'short' }).format(new Date(`${day}T00:00:00Z`));
}

export function weekdayName(index: number, locale: string): string {
  // 2024-01-01 was a Monday.
  return formatter(locale, { timeZone: 'UTC', weekday: 'short' }).format(new Date(Date.UTC(2024, 0, 1 + index)));
}

/** The abbreviation of a zone at an instant: `IST`, `GMT+5:30`. */
export function zoneName(zone: string, locale: string, at: Date): string {
  const parts = formatter(locale, { timeZone: zone, timeZoneName: 'short' }).formatToParts(at);
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? zone;
}

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** "3 min. ago", "in 2 days". */
export function formatRelative(instant: string, now: Date, locale: string): string {
  const seconds = Math.round((Date.parse(instant) - now.getTime()) / 1000);
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each) ?? (['second', 1] as const);
  return new Intl.RelativeTimeFormat(locale, { style: 'short', numeric: 'auto' }).format(Math.trunc(seconds / size), unit);
}

/** A duration in its two largest units: `1 min 5 s`. */
export function formatDuration(milliseconds: number, locale: string): string {
  const format = (value: number, unit: string) =>
    new Intl.NumberFormat(locale, { style: 'unit', unit, unitDisplay: 'short' }).format(value);
  const seconds = milliseconds / 1000;
  if (seconds < 1) return format(Math.round(milliseconds), 'millisecond');
  if (seconds < 60) return format(Math.round(seconds * 10) / 10, 'second');
  const units = UNITS.filter(([unit]) => unit !== 'second' || seconds < 3600);
  const first = units.findIndex(([, size]) => seconds >= size);
  let rest = Math.floor(seconds);
  return units
    .slice(first, first + 2)
    .map(([unit, size]) => {
      const value = Math.floor(rest / size);
      rest -= value * size;
      return value ? format(value, unit) : '';
    })
    .filter(Boolean)
    .join(' ');
}
