import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { messages as en } from './en';
import { pluralIn } from './plural';
import { messages as ru } from './ru';

type Tree = Record<string, unknown>;

function leaves(tree: Tree, path = ''): [string, unknown][] {
  return Object.entries(tree).flatMap(([name, value]): [string, unknown][] => {
    const at = path ? `${path}.${name}` : name;
    return typeof value === 'object' && value !== null ? leaves(value as Tree, at) : [[at, value]];
  });
}

const english = new Map(leaves(en));
const russian = new Map(leaves(ru));
// Names and signs that are the same in both languages.
const SAME = /^(common\.(source|trigger\.api|by)|shell\.product|exporting\.formats|reconciliation\.column\.(vima|payshack)|payments\.column\.utr)/;

describe('messages', () => {
  it('has the same keys in every language', () => {
    expect([...russian.keys()].sort()).toEqual([...english.keys()].sort());
  });

  it('takes the same parameters in every language', () => {
    for (const [key, value] of english) {
      expect(typeof russian.get(key), key).toBe(typeof value);
      if (typeof value === 'function') expect((russian.get(key) as () => string).length, key).toBe(value.length);
    }
  });

  it('is translated, and never empty', () => {
    for (const [key, value] of russian) {
      const text = typeof value === 'function' ? (value as (...values: unknown[]) => string)('5', '5', '5') : String(value);
      expect(text.trim(), key).not.toBe('');
      if (!SAME.test(key)) expect(text, key).toMatch(/[А-Яа-яЁё]|^[–—\d\s%#.,UTRGMiBd]+$/);
    }
  });

  it('has no message that nothing shows', () => {
    const root = join(import.meta.dirname, '..');
    const sources = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(svelte|ts)$/.test(entry.name) && !entry.parentPath.includes('messages'))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
      .join('\n');
    const groups = Object.entries(en).flatMap(([group, all]) => Object.keys(all).map((key) => `${group}.${key}`));
    expect(groups.filter((path) => !sources.includes(`.${path}`))).toEqual([]);
  });

  it.each([
    [1, '1 платёж'],
    [2, '2 платежа'],
    [5, '5 платежей'],
    [11, '11 платежей'],
    [21, '21 платёж'],
    [112, '112 платежей'],
  ])('puts %i into its Russian form', (count, expected) => {
    expect(ru.common.payments(count)).toBe(expected);
  });

  it('puts counts into English forms', () => {
    expect([0, 1, 2].map((count) => en.common.cases(count))).toEqual(['0 cases', '1 case', '2 cases']);
    expect(pluralIn('en')(1234, { one: '#', other: '#' })).toBe('1,234');
  });
});
