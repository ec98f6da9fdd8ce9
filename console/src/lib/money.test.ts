import { describe, expect, it } from 'vitest';
import { changePercent, toCents } from './measures';
import { currencyDigits, formatAmount, formatCompact, formatDifference, formatMoney } from './money';

const plain = (text: string) => text.replace(/[\u00a0\u202f]/g, ' ');

describe('amounts', () => {
  it.each([
    ['1542000', 'INR', 'en', '1,542,000.00 INR'],
    ['1542000.00', 'INR', 'ru', '1 542 000,00 INR'],
    ['0.5', 'USD', 'en', '0.50 USD'],
    ['-1234.5', 'EUR', 'en', '−1,234.50 EUR'],
    ['1500', 'JPY', 'en', '1,500 JPY'],
    ['1500.50', 'JPY', 'en', '1,500.5 JPY'],
    ['1.2345', 'USD', 'en', '1.2345 USD'],
    ['1.2340000', 'USD', 'en', '1.234 USD'],
    ['12.345', 'KWD', 'en', '12.345 KWD'],
    ['7.00', 'USDT', 'en', '7.00 USDT'],
    ['79228162514264337593543950335', 'INR', 'en', '79,228,162,514,264,337,593,543,950,335.00 INR'],
  ])('%s %s in %s is %s', (amount, currency, locale, expected) => {
    expect(plain(formatMoney(amount, currency, locale))).toBe(expected);
  });

  it('has no code if the currency is not known', () => {
    expect(formatMoney('1', null, 'en')).toBe('1.00');
    expect(formatAmount('1000', null, 'en')).toBe('1,000.00');
  });

  it.each([
    ['24874321.55', 'en', '24.87 M'],
    ['24874321.55', 'ru', '24,87 млн'],
    ['999', 'en', '999'],
    ['99.5', 'en', '99.50'],
    ['1330', 'en', '1.33 k'],
    ['109500', 'en', '109.5 k'],
    ['999949', 'en', '999.9 k'],
    ['999950', 'en', '1.00 M'],
    ['-2500000', 'en', '−2.50 M'],
    ['1234567890123456', 'en', '1,234.6 T'],
  ])('%s in %s is %s in a tile', (amount, locale, expected) => {
    expect(plain(formatCompact(amount, locale))).toBe(expected);
  });

  it('shows the sign of a difference', () => {
    expect(plain(formatDifference('12', 'INR', 'en'))).toBe('+12.00 INR');
    expect(plain(formatDifference('-12', 'INR', 'en'))).toBe('−12.00 INR');
    expect(plain(formatDifference('0', 'INR', 'en'))).toBe('0.00 INR');
  });

  it('knows the decimals of currencies', () => {
    expect([currencyDigits('INR'), currencyDigits('JPY'), currencyDigits('KWD'), currencyDigits('not one')]).toEqual([2, 0, 3, 2]);
  });

  it('ends converted amounts with cents', () => {
    expect(toCents('1343446.82697743443736')).toBe('1343446.83');
    expect(toCents(null)).toBeNull();
  });
});

describe('changes', () => {
  it.each([
    [{ amount: '112.00', currency: 'INR' }, { amount: '100.00', currency: 'INR' }, 12],
    [{ amount: '0', currency: 'INR' }, { amount: '100.00', currency: 'INR' }, -100],
    [{ amount: '5.00', currency: 'INR' }, { amount: '0', currency: 'INR' }, null],
    [{ amount: '5.00', currency: 'INR' }, { amount: '5.00', currency: 'USD' }, null],
    [{ amount: null, currency: null }, { amount: '5.00', currency: 'USD' }, null],
  ])('%j after %j: %s', (now, before, expected) => {
    const percent = changePercent(now, before);
    expect(percent === null ? null : Math.round(percent)).toBe(expected);
  });
});
