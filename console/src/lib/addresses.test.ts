import { describe, expect, it } from 'vitest';
import { isIdList, splitIds } from './ids';
import { formatBytes, formatChange, formatPercent, shortenId } from './number';
import { presetPeriod, previousPeriod, readPeriod } from './period';
import { href, readList, toQueryString } from './query';
import { fromPartUrls, fromRowsUrl } from './rows';
import { filtersOf, queryOf } from './savedView';

describe('query strings', () => {
  it('joins lists by commas', () => {
    expect(toQueryString({ status: ['failed', 'pending'], project: [], search: '', limit: 50, open: true, cursor: null })).toBe('status=failed,pending&limit=50&open=true');
  });

  it('repeats a parameter whose value contains a comma, so that it is not split', () => {
    for (const values of [['a,b'], ['a,b', 'c']]) {
      const query = new URLSearchParams(toQueryString({ merchant_id: values }));
      expect(query.getAll('merchant_id').length).toBeGreaterThan(1);
      expect(readList(query, 'merchant_id')).toEqual(values);
    }
  });

  it('keeps what needs escaping', () => {
    const value = 'a&b=c#d+e f%2C';
    expect(new URLSearchParams(toQueryString({ search: value })).get('search')).toBe(value);
    expect(href('/payments', {})).toBe('/payments');
    expect(toQueryString({ timezone: 'Asia/Kolkata' })).toBe('timezone=Asia/Kolkata');
  });
});

describe('links to rows', () => {
  it('turns an address of the API into one of the console', () => {
    expect(fromRowsUrl('/api/v1/transactions?status=failed&created_from=2026-01-15T10:00:00Z')).toBe('/payments?status=failed&created_from=2026-01-15T10:00:00Z');
    expect(fromRowsUrl('/api/v1/unknown?x=1')).toBeNull();
    expect(fromRowsUrl(undefined)).toBeNull();
  });

  it('leads from a run to its results', () => {
    expect(fromRowsUrl('/api/v1/reconciliation/runs/01980f2a/results?match_status=pending')).toBe('/reconciliation/runs/01980f2a?match_status=pending');
  });

  it('links a figure of several parts only if one list has all of it', () => {
    const [pending, processing] = ['/api/v1/transactions?status=pending', '/api/v1/transactions?status=processing'];
    expect(fromPartUrls([pending, null])).toBe('/payments?status=pending');
    expect(fromPartUrls([pending, processing])).toBeNull();
    expect(fromPartUrls([undefined, null])).toBeNull();
  });
});

describe('saved views', () => {
  it('opens the address that was saved, without the row that was open', () => {
    const address = 'status=failed,pending&merchant_id=a,b&merchant_id=c&period=7d';
    const filters = filtersOf(new URLSearchParams(`${address}&open=17`));
    expect(filters).toEqual({ status: 'failed,pending', merchant_id: ['a,b', 'c'], period: '7d' });
    expect(href('/payments', queryOf(filters))).toBe(`/payments?${address}`);
  });

  it('takes what another client has saved', () => {
    expect(queryOf({ status: ['failed'], limit: 50, open: true, project: null, nested: {}, weekday: [0, 6] })).toEqual({ status: ['failed'], limit: 50, open: true, weekday: ['0', '6'] });
  });
});

describe('periods', () => {
  const today = '2026-03-01';

  it.each([
    ['today', '2026-03-01', '2026-03-01'],
    ['yesterday', '2026-02-28', '2026-02-28'],
    ['week', '2026-02-23', '2026-03-01'],
    ['7d', '2026-02-23', '2026-03-01'],
    ['30d', '2026-01-31', '2026-03-01'],
    ['month', '2026-03-01', '2026-03-01'],
  ] as const)('%s is %s to %s', (preset, from, to) => {
    expect(presetPeriod(preset, today)).toEqual({ preset, from, to });
  });

  it.each([
    ['today', '2026-03-30', '2026-03-29', '2026-03-29'],
    ['7d', '2026-03-30', '2026-03-17', '2026-03-23'],
    ['week', '2026-03-30', '2026-03-23', '2026-03-23'],
    ['week', '2026-03-29', '2026-03-16', '2026-03-22'],
    ['month', '2026-03-15', '2026-02-01', '2026-02-15'],
    ['month', '2026-03-31', '2026-02-01', '2026-02-28'],
    ['month', '2026-01-01', '2025-12-01', '2025-12-01'],
  ] as const)('compares %s on %s with %s to %s', (preset, on, from, to) => {
    expect(previousPeriod(presetPeriod(preset, on))).toEqual({ preset: null, from, to });
  });

  it('reads two days, and the default for what cannot be read', () => {
    expect(readPeriod(new URLSearchParams('from_date=2026-01-01&to_date=2026-01-02'), today, '7d')).toEqual({ preset: null, from: '2026-01-01', to: '2026-01-02' });
    expect(readPeriod(new URLSearchParams('from_date=2026-01-03&to_date=2026-01-02'), today, 'today').preset).toBe('today');
    expect(readPeriod(new URLSearchParams('period=decade'), today, '7d').preset).toBe('7d');
  });
});

describe('pasted ids', () => {
  it('takes a column of a spreadsheet', () => {
    expect(splitIds("'402912345678\r\n\u00a0402912345679\t\"AB-12\"; 402912345678,")).toEqual(['402912345678', '402912345679', 'AB-12']);
  });

  it.each([
    ['402912345678 402912345679', true],
    ['402912345678', false],
    ['why did it fail', false],
    ['a@example.com 12', false],
  ])('%j is a list: %s', (text, expected) => {
    expect(isIdList(text)).toBe(expected);
  });
});

describe('numbers', () => {
  it('tells unknown from zero', () => {
    expect(formatPercent(null, 'en')).toBe('–');
    expect(formatPercent(0, 'en')).toBe('0\u00a0%');
    expect(formatChange(null, '%', 'en')).toBe('–');
  });

  it('shows changes with their sign', () => {
    expect(formatChange(12.34, '%', 'en')).toBe('+12\u00a0%');
    expect(formatChange(-2.14, 'pt', 'en')).toBe('−2.1\u00a0pt');
    expect(formatChange(0, '%', 'ru')).toBe('0\u00a0%');
  });

  it('shortens the middle of ids and scales bytes', () => {
    expect(shortenId('1182826662861996032')).toBe('118282…996032');
    expect(shortenId('short')).toBe('short');
    expect(formatBytes(999, 'en')).toBe('999\u00a0B');
    expect(formatBytes(2_500_000, 'en')).toBe('2.5\u00a0MB');
  });
});
