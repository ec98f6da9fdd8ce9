// Formats amounts from decimal strings. `Intl` would take a string too, but converts it to a float in older browsers, so the
// digits come from `decimal` and only the separators from `Intl`.
import { type Decimal, decimalText, parseDecimal, round } from './decimal';

interface Separators {
  readonly group: string;
  readonly decimal: string;
}

const separatorsOf = new Map<string, Separators>();

function separators(locale: string): Separators {
  let found = separatorsOf.get(locale);
  if (!found) {
    const parts = new Intl.NumberFormat(locale, { minimumFractionDigits: 1 }).formatToParts(1234567.8);
    const part = (type: string) => parts.find((each) => each.type === type)?.value ?? '';
    found = { group: part('group'), decimal: part('decimal') };
    separatorsOf.set(locale, found);
  }
  return found;
}

/** The minor digits of a currency; what is not a currency of ISO 4217 (a token) has two. */
export function currencyDigits(currency: string): number {
  try {
    return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2;
  } catch {
    return 2;
  }
}

export function formatDecimal(value: Decimal, locale: string): string {
  const { group, decimal } = separators(locale);
  const [whole = '0', fraction] = decimalText(value).replace('-', '').split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, group);
  const sign = value.units < 0n ? '−' : '';
  return sign + grouped + (fraction ? decimal + fraction : '');
}

/** The amount with at least the digits of its currency, and with more if it has them: `1,542,000.00`. */
export function formatAmount(amount: string, currency: string | null, locale: string): string {
  const value = trim(parseDecimal(amount), currency ? currencyDigits(currency) : 2);
  return formatDecimal(value, locale);
}

/** With its currency code: `1,542,000.00 INR`. */
export function formatMoney(amount: string, currency: string | null, locale: string): string {
  const text = formatAmount(amount, currency, locale);
  return currency ? `${text}\u00a0${currency}` : text;
}

function trim(value: Decimal, digits: number): Decimal {
  let { units, scale } = value;
  while (scale > digits && units % 10n === 0n) {
    units /= 10n;
    scale -= 1;
  }
  return scale < digits ? round(value, digits) : { units, scale };
}

const STEPS = [
  { exponent: 12, en: 'T', ru: 'трлн' },
  { exponent: 9, en: 'B', ru: 'млрд' },
  { exponent: 6, en: 'M', ru: 'млн' },
  { exponent: 3, en: 'k', ru: 'тыс.' },
] as const;

/** Three or four significant digits, for tiles; the exact amount belongs beside it or into a tooltip: `24.87 M`. */
export function formatCompact(amount: string, locale: string): string {
  const value = parseDecimal(amount);
  const positive = value.units < 0n ? -value.units : value.units;
  const whole = positive / 10n ** BigInt(value.scale);
  // 999,950 is 1 M when rounded to one decimal: the step is chosen by the rounded amount.
  const step = STEPS.find(({ exponent }) => whole * 20_000n >= 19_999n * 10n ** BigInt(exponent));
  if (!step || whole < 1000n) return formatDecimal(round(value, whole >= 100n ? 0 : 2), locale);
  const scaled: Decimal = { units: value.units, scale: value.scale + step.exponent };
  const leading = whole / 10n ** BigInt(step.exponent);
  const rounded = round(scaled, leading >= 100n ? 1 : 2);
  return `${formatDecimal(rounded, locale)}\u00a0${locale === 'ru' ? step.ru : step.en}`;
}

/** A signed difference: `+12.00 INR`, `−3.00 INR`. */
export function formatDifference(amount: string, currency: string | null, locale: string): string {
  const text = formatMoney(amount, currency, locale);
  return parseDecimal(amount).units > 0n ? `+${text}` : text;
}
