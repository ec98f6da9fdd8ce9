// Exact decimals. The API sends money as strings because a float cannot hold it; here a decimal is an integer and a scale,
// and nothing is rounded but for display, where `round` says so.

export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

const FORM = /^(-?)(\d+)(?:\.(\d+))?$/;

export function parseDecimal(text: string): Decimal {
  const parts = FORM.exec(text);
  if (!parts) throw new RangeError(`not a decimal: ${text}`);
  const [, sign = '', whole = '', fraction = ''] = parts;
  return { units: BigInt(`${sign}${whole}${fraction}`), scale: fraction.length };
}

export function isDecimal(text: string): boolean {
  return FORM.test(text);
}

function unitsAt(value: Decimal, scale: number): bigint {
  return value.units * 10n ** BigInt(scale - value.scale);
}

export function addDecimals(left: Decimal, right: Decimal): Decimal {
  const scale = Math.max(left.scale, right.scale);
  return { units: unitsAt(left, scale) + unitsAt(right, scale), scale };
}

export function sumDecimals(texts: Iterable<string>): string {
  let total: Decimal = { units: 0n, scale: 0 };
  for (const text of texts) total = addDecimals(total, parseDecimal(text));
  return decimalText(total);
}

export function compareDecimals(left: string, right: string): number {
  const [a, b] = [parseDecimal(left), parseDecimal(right)];
  const scale = Math.max(a.scale, b.scale);
  const difference = unitsAt(a, scale) - unitsAt(b, scale);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function isZero(text: string): boolean {
  return parseDecimal(text).units === 0n;
}

export function absolute(text: string): string {
  return text.startsWith('-') ? text.slice(1) : text;
}

/** Rounds half away from zero, as people do with money. */
export function round(value: Decimal, scale: number): Decimal {
  if (value.scale <= scale) return { units: unitsAt(value, scale), scale };
  const divisor = 10n ** BigInt(value.scale - scale);
  const positive = value.units < 0n ? -value.units : value.units;
  const quotient = (positive + divisor / 2n) / divisor;
  return { units: value.units < 0n ? -quotient : quotient, scale };
}

export function decimalText({ units, scale }: Decimal): string {
  const sign = units < 0n ? '-' : '';
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, '0');
  if (scale === 0) return sign + digits;
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** An approximation, for lengths and colours on the screen only: never for a figure that is shown or sent. */
export function toGeometry(text: string): number {
  return Number(text);
}
