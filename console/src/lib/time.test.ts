import { describe, expect, it } from 'vitest';
import { addDays, dayIn, daysBetween, formatDuration, formatInstant, formatRelative, formatShort, hoursOfDay, isDay, isZone, startOfDay, weekday, weekdayName } from './time';

describe('days', () => {
  it('starts where the zone says', () => {
    expect(startOfDay('UTC', '2026-01-15').toISOString()).toBe('2026-01-15T00:00:00.000Z');
    expect(startOfDay('Asia/Kolkata', '2026-01-15').toISOString()).toBe('2026-01-14T18:30:00.000Z');
    expect(startOfDay('Asia/Kathmandu', '2026-01-15').toISOString()).toBe('2026-01-14T18:15:00.000Z');
    expect(startOfDay('America/New_York', '2026-03-08').toISOString()).toBe('2026-03-08T05:00:00.000Z');
    expect(startOfDay('America/New_York', '2026-03-09').toISOString()).toBe('2026-03-09T04:00:00.000Z');
  });

  it.each([
    ['America/New_York', '2026-03-08', 23],
    ['America/New_York', '2026-11-01', 25],
    ['America/New_York', '2026-06-01', 24],
    ['Asia/Kolkata', '2026-03-08', 24],
    ['Australia/Lord_Howe', '2026-04-05', 24.5],
  ])('in %s, %s has %d hours', (zone, day, hours) => {
    expect(hoursOfDay(zone, day)).toBe(hours);
  });

  it('is the day of the zone, not of the browser', () => {
    const instant = new Date('2026-01-14T20:00:00Z');
    expect(dayIn('UTC', instant)).toBe('2026-01-14');
    expect(dayIn('Asia/Kolkata', instant)).toBe('2026-01-15');
  });

  it('counts across months and leap years', () => {
    expect(addDays('2028-02-28', 1)).toBe('2028-02-29');
    expect(addDays('2026-01-01', -1)).toBe('2025-12-31');
    expect(daysBetween('2026-02-27', '2026-03-01')).toBe(2);
    expect(weekday('2026-11-30')).toBe(0);
    expect(weekdayName(0, 'en')).toBe('Mon');
    expect(weekdayName(6, 'ru')).toBe('вс');
  });

  it.each([
    ['2026-02-28', true],
    ['2026-02-30', false],
    ['2026-1-1', false],
    ['cases', false],
  ])('%s is a day: %s', (text, expected) => {
    expect(isDay(text)).toBe(expected);
  });

  it('knows zones', () => {
    expect(isZone('Asia/Kolkata')).toBe(true);
    expect(isZone('Mars/Olympus')).toBe(false);
  });
});

describe('instants', () => {
  const now = new Date('2026-01-15T10:00:00Z');

  it('is absolute in the zone', () => {
    expect(formatInstant('2026-01-15T10:00:00Z', 'Asia/Kolkata', 'en')).toBe('15 Jan 2026, 15:30:00');
  });

  it('leaves the day out if it is today', () => {
    expect(formatShort('2026-01-15T09:00:00Z', 'UTC', 'en', now)).toBe('09:00:00');
    expect(formatShort('2026-01-14T19:00:00Z', 'Asia/Kolkata', 'en', now)).toBe('00:30:00');
    expect(formatShort('2026-01-14T09:00:00Z', 'UTC', 'en', now)).toBe('14 Jan, 09:00:00');
  });

  it('is relative in its largest unit', () => {
    expect(formatRelative('2026-01-15T09:57:00Z', now, 'en')).toBe('3 min. ago');
    expect(formatRelative('2026-01-15T12:59:00Z', now, 'en')).toBe('in 2 hr.');
    expect(formatRelative('2026-01-13T09:00:00Z', now, 'ru')).toBe('позавчера');
  });

  it.each([
    [420, '420 ms'],
    [2_400, '2.4 sec'],
    [65_000, '1 min 5 sec'],
    [3_600_000, '1 hr'],
    [93_784_000, '1 day 2 hr'],
  ])('%d ms lasts %s', (milliseconds, expected) => {
    expect(formatDuration(milliseconds, 'en')).toBe(expected);
  });
});
