// Every view, in both themes and languages, on a wide and a narrow screen: it loads, nothing complains, axe finds nothing.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectAccessible, expectNoSidewaysScroll, launch, loaded, open, screenshot } from './browser';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);

const VIEWS = {
  inbox: '/',
  overview: '/overview',
  payments: '/payments?period=30d',
  reconciliation: '/reconciliation',
  'reconciliation-day': `/reconciliation/${yesterday}`,
  cases: '/reconciliation/cases?state=open',
  sync: '/sync',
  quarantine: '/sync/quarantine',
  jobs: '/jobs',
  alerts: '/alerts?show=all',
  webhooks: '/alerts/webhooks',
  merchants: '/merchants',
  reports: '/reports',
  keys: '/keys',
  audit: '/audit',
} as const;

// Pairs that cover both themes, both languages and the widths without all their combinations.
const LOOKS = [
  { theme: 'light', language: 'en', width: 1440 },
  { theme: 'dark', language: 'ru', width: 390 },
] as const;

describe.each(Object.entries(VIEWS))('%s', (name, path) => {
  it.each(LOOKS)('looks right: $theme, $language, $width px', async (look) => {
    const { page, done } = await open(browser, path, look);
    await loaded(page);
    expect(await page.locator('html').getAttribute('lang')).toBe(look.language);
    expect(await page.title()).toMatch(/^.+ · PSP$/);
    await screenshot(page, `${name}-${look.theme}-${look.language}-${look.width}`);
    await expectNoSidewaysScroll(page);
    await expectAccessible(page);
    await done();
  });
});

describe.each(Object.entries(VIEWS))('%s', (_, path) => {
  // Russian words are longer.
  it.each([360, 1024])('fits %i px', async (width) => {
    const { page, done } = await open(browser, path, { width, theme: 'dark', language: 'ru' });
    await loaded(page);
    await expectNoSidewaysScroll(page);
    await done();
  });
});

describe('on paper', () => {
  it('shows the figures and cases of a day, black on white, and nothing to click', async () => {
    const { page, done } = await open(browser, `/reconciliation/${yesterday}`, { theme: 'dark' });
    await loaded(page);
    await page.emulateMedia({ media: 'print' });
    expect(await page.title()).toMatch(/^Reconciliation of .* · PSP$/);
    await page.getByText(/Printed .* UTC, /).waitFor();
    await page.getByRole('table').getByText('Matched', { exact: true }).first().waitFor();
    expect(await page.getByRole('navigation').count()).toBe(0);
    expect(await page.getByRole('button').count()).toBe(0);
    expect(await page.evaluate(() => [document.documentElement, document.body].map((element) => getComputedStyle(element).color))).toEqual(['rgb(0, 0, 0)', 'rgb(0, 0, 0)']);
    await screenshot(page, 'printed-day');
    await done();
  });
});

describe('charts', () => {
  it('are drawn in light colours on paper, and in those of the theme afterwards', async () => {
    const { page, done } = await open(browser, '/overview?period=7d', { theme: 'dark' });
    const drawn = (red: number, green: number, blue: number) => page.waitForFunction((color) => {
      const chart = document.querySelector<HTMLCanvasElement>('main figure canvas');
      if (!chart) return false;
      // A copy: the browser complains about a chart that is read more than once.
      const copy = new OffscreenCanvas(chart.width, chart.height).getContext('2d', { willReadFrequently: true });
      copy?.drawImage(chart, 0, 0);
      const pixels = copy?.getImageData(0, 0, chart.width, chart.height).data ?? [];
      for (let at = 0; at < pixels.length; at += 4) if (color.every((part, index) => pixels[at + index] === part)) return true;
      return false;
    }, [red, green, blue, 255]);
    await drawn(75, 163, 220);
    await page.emulateMedia({ media: 'print' });
    await drawn(0, 114, 178);
    await page.emulateMedia({ media: 'screen' });
    await drawn(75, 163, 220);
    await done();
  });
});

describe('what a role sees', () => {
  it('shows a viewer no actions', async () => {
    const { page, done } = await open(browser, '/sync', { role: 'viewer' });
    await loaded(page);
    expect(await page.getByRole('button', { name: 'Run now' }).count()).toBe(0);
    expect(await page.getByRole('link', { name: 'Keys' }).count()).toBe(0);
    await page.goto(page.url().replace('/sync', '/keys'));
    await page.getByText('This needs the role admin').waitFor();
    await done();
  });

  it('masks payers for a viewer', async () => {
    const { page, done } = await open(browser, '/payments', { role: 'viewer' });
    await page.locator('main tr[data-row]').first().click();
    await page.getByText('Masked for this key').waitFor();
    expect(await page.locator('[data-panel]').innerText()).not.toMatch(/[a-z]{4,}@example\.com/);
    await done();
  });
});

describe('opened beside a list', () => {
  it.each([
    ['payment', '/payments'],
    ['case', '/reconciliation/cases'],
    ['job', '/jobs'],
    ['audit-entry', '/audit'],
  ])('%s is accessible, has an address of its own, and closes on Esc', async (name, path) => {
    const { page, done } = await open(browser, path);
    await loaded(page);
    await page.locator('main tr[data-row]').first().click();
    await page.waitForURL(/[?&]open=/);
    await page.waitForFunction(() => document.querySelectorAll('[data-panel] .skeleton').length === 0);
    await screenshot(page, `panel-${name}`);
    await expectAccessible(page);
    await page.keyboard.press('Escape');
    await page.waitForURL((url) => !url.searchParams.has('open'));
    expect(await page.locator('[data-panel]').count()).toBe(0);
    await done();
  });
});
