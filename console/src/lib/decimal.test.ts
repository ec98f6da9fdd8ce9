import { describe, expect, it } from 'vitest';
import { absolute, addDecimals, compareDecimals, decimalText, isDecimal, isZero, parseDecimal, round, sumDecimals } from './decimal';

describe('decimals', () => {
  it.each(['0', '0.00', '1542000.00', '-12.5', '79228162514264337593543950335', '0.0000000000000000000000000001'])('reads and writes %s unchanged', (text) => {
    expect(decimalText(parseDecimal(text))).toBe(text);
  });

  it.each(['', '-', '1.', '.5', '1,5', '1e3', 'NaN', '12 '])('refuses %j', (text) => {
    expect(isDecimal(text)).toBe(false);
    expect(() => parseDecimal(text)).toThrow(RangeError);
  });

  it('adds what floats cannot', () => {
    expect(sumDecimals(['0.1', '0.2'])).toBe('0.3');
    expect(sumDecimals(['9007199254740993.01', '-0.02'])).toBe('9007199254740992.99');
    expect(sumDecimals([])).toBe('0');
  });

  it('adds in any order and grouping, with any scales', () => {
    let seed = 7;
    const next = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648);
    for (let round = 0; round < 200; round += 1) {
      const [a, b, c] = Array.from({ length: 3 }, () => ({ units: BigInt(next() - 1_073_741_824), scale: next() % 9 })) as [Parameters<typeof decimalText>[0], Parameters<typeof decimalText>[0], Parameters<typeof decimalText>[0]];
      const left = decimalText(addDecimals(addDecimals(a, b), c));
      const right = decimalText(addDecimals(a, addDecimals(c, b)));
      expect(compareDecimals(left, right)).toBe(0);
    }
  });

  it.each([
    ['1', '1.00', 0],
    ['-2', '1', -1],
    ['10.1', '10.09', 1],
  ])('compares %s with %s', (left, right, expected) => {
    expect(compareDecimals(left, right)).toBe(expected);
  });

  it.each([
    ['1.005', 2, '1.01'],
    ['-1.005', 2, '-1.01'],
    ['0.994', 2, '0.99'],
    ['12', 2, '12.00'],
    ['999.95', 1, '1000.0'],
  ])('rounds %s to %i decimals: %s', (text, scale, expected) => {
    expect(decimalText(round(parseDecimal(text), scale))).toBe(expected);
  });

  it('knows zero and the absolute value', () => {
    expect(isZero('-0.00')).toBe(true);
    expect(isZero('0.01')).toBe(false);
    expect(absolute('-3.50')).toBe('3.50');
  });
});
