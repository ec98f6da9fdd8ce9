// Counts, rates and durations in the words of a locale.

export function formatCount(count: number, locale: string): string {
  return new Intl.NumberFormat(locale).format(count);
}

/** A rate in percent, at most two decimals; null is "not known", never zero. */
export function formatPercent(rate: number | null | undefined, locale: string, digits = 1): string {
  if (rate === null || rate === undefined) return '–';
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(rate)}\u00a0%`;
}

/** A change with its sign: `+12 %`, `−2.1 pt`. */
export function formatChange(change: number | null | undefined, unit: string, locale: string): string {
  if (change === null || change === undefined) return '–';
  const digits = Math.abs(change) < 10 ? 1 : 0;
  const text = new Intl.NumberFormat(locale, { maximumFractionDigits: digits, signDisplay: 'exceptZero' }).format(change);
  return `${text.replace('-', '−')}\u00a0${unit}`;
}

export function formatBytes(bytes: number, locale: string): string {
  const units = locale === 'ru' ? ['Б', 'кБ', 'МБ', 'ГБ'] : ['B', 'kB', 'MB', 'GB'];
  const step = bytes < 1000 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  const value = bytes / 1000 ** step;
  const text = new Intl.NumberFormat(locale, { maximumFractionDigits: value < 10 && step > 0 ? 1 : 0 }).format(value);
  return `${text}\u00a0${units[step]}`;
}

/** The middle of an id is the part that is read least. */
export function shortenId(id: string, length = 13): string {
  if (id.length <= length) return id;
  const head = Math.ceil((length - 1) / 2);
  return `${id.slice(0, head)}…${id.slice(-(length - 1 - head))}`;
}
