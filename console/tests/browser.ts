// The browser of the tests, and a page that fails its test on anything that a browser complains about.
import { mkdir } from 'node:fs/promises';
import axe from 'axe-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { expect } from 'vitest';

export { launch } from '../scripts/chromium.mjs';

export type Role = 'viewer' | 'operator' | 'admin';

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set (console/README.md, "Tests in a browser")`);
  return value;
}

export const CONSOLE = (process.env['CONSOLE_URL'] ?? '').replace(/\/$/, '');
export const SANDBOX = process.env['SANDBOX_URL'];
const SCREENSHOTS = new URL('./screenshots/', import.meta.url).pathname;

export function keyOf(role: Role): string {
  return setting(`CONSOLE_${role.toUpperCase()}_KEY`);
}

/** What another client does, with the key of an admin. */
export async function api<T>(path: string, init: RequestInit = {}): Promise<T> {
  const headers = { 'X-API-Key': keyOf('admin'), 'Content-Type': 'application/json' };
  const answer = await fetch(`${CONSOLE}/api/v1${path}`, { ...init, headers });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

export interface Options {
  readonly role?: Role | null;
  readonly width?: number;
  readonly theme?: 'light' | 'dark';
  readonly language?: 'en' | 'ru';
}

export interface Guarded {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Answers of the API that the test expects to be refused, by status. */
  allow(...statuses: number[]): void;
  /** Asserts that nothing was wrong, and closes the page. */
  done(): Promise<void>;
}

const HEIGHT = 900;
/** Long: the machine may be busy with builds. What is waited for is a condition, never a time. */
const PATIENCE_MS = 45_000;

/** A page, signed in with a role; null without a sign-in. */
export async function open(browser: Browser, path: string, { role = 'admin', width = 1440, theme = 'light', language = 'en' }: Options = {}): Promise<Guarded> {
  const context = await browser.newContext({ viewport: { width, height: HEIGHT }, locale: 'en-GB', timezoneId: 'UTC', permissions: ['clipboard-read', 'clipboard-write'] });
  const complaints: string[] = [];
  const allowed = new Set<number>();
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    const refused = /status of (\d+)/.exec(message.text())?.[1];
    if (refused && allowed.has(Number(refused))) return;
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`${message.type()}: ${message.text()} ${message.location().url}`);
  });
  await page.addInitScript(([chosenTheme, chosenLanguage]) => {
    // Only if nothing is stored: what a test chooses survives a reload.
    if (!localStorage.getItem('psp-console')) localStorage.setItem('psp-console', JSON.stringify({ theme: chosenTheme, language: chosenLanguage }));
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`));
  }, [theme, language] as const);
  if (role) {
    const answer = await context.request.post(`${CONSOLE}/api/v1/session`, { headers: { Authorization: `Bearer ${keyOf(role)}` } });
    expect(answer.status(), 'signing in').toBe(201);
  }
  await page.goto(CONSOLE + path);
  return {
    page,
    context,
    allow: (...statuses) => statuses.forEach((status) => allowed.add(status)),
    async done() {
      await context.close();
      expect(complaints).toEqual([]);
    },
  };
}

/** Waits until a view shows its data: no skeletons. */
export async function loaded(page: Page): Promise<void> {
  await page.locator('main h1').first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll('main .skeleton').length === 0);
}

export async function screenshot(page: Page, name: string): Promise<void> {
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}${name}.png` });
}

/** Asserts that axe finds nothing, by the rules of WCAG 2.2 AA. */
export async function expectAccessible(page: Page): Promise<void> {
  // The bar at the bottom of narrow screens covers what it is scrolled over: a tall screen keeps it off the content.
  const size = page.viewportSize();
  if (size && size.width < 640) await page.setViewportSize({ width: size.width, height: 4000 });
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async () => {
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    const { violations: found } = await (window as unknown as { axe: typeof axe }).axe.run(document, { runOnly: tags });
    return found.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)} (${failureSummary ?? ''})`).join(' | ')}`);
  });
  expect(violations).toEqual([]);
}

export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(overflow, 'pixels that the page is wider than the screen').toBeLessThanOrEqual(0);
}
