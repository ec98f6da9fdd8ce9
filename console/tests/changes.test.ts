// Changes that others can interfere with, changes of many things, and what is kept for later: conflicts, bulk actions, views.
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { api, expectAccessible, launch, loaded, open } from './browser';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const CONFLICT = 'Someone else was faster';

describe('conflicts', () => {
  it('keeps what someone else has done to a case, and what was entered', async () => {
    const { page, allow, done } = await open(browser, '/reconciliation/cases?state=open', { role: 'operator' });
    await page.locator('main tr[data-row]').first().click();
    await page.getByLabel('Note').fill('mine');
    const id = new URL(page.url()).searchParams.get('open');
    await api(`/reconciliation/discrepancies/${id}`, { method: 'PATCH', body: JSON.stringify({ assignee: 'someone else' }) });
    allow(412);
    const panel = page.locator('[data-panel]');
    await panel.getByRole('button', { name: 'Save' }).click();
    await panel.getByText(CONFLICT).waitFor();
    await expectAccessible(page);
    await panel.getByRole('button', { name: 'Load the current state' }).click();
    await panel.getByText(CONFLICT).waitFor({ state: 'detached' });
    expect(await panel.getByLabel('Assignee').inputValue()).toBe('someone else');
    expect(await panel.getByLabel('Note').inputValue()).toBe('mine');
    await panel.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved', { exact: true }).waitFor();
    await api(`/reconciliation/discrepancies/${id}`, { method: 'PATCH', body: JSON.stringify({ assignee: '', note: '' }) });
    await done();
  });

  it('does not delete a rule that has changed', async () => {
    const name = `browser test ${Date.now()}`;
    const rule = await api<{ id: string }>('/alert-rules', { method: 'POST', body: JSON.stringify({ name, kind: 'sync_lag', threshold: '600' }) });
    const { page, allow, done } = await open(browser, '/alerts', { role: 'operator' });
    const row = page.locator('tr', { hasText: name });
    await row.getByRole('button', { name: /Actions/ }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await api(`/alert-rules/${rule.id}`, { method: 'PATCH', body: JSON.stringify({ severity: 'critical' }) });
    allow(412);
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await dialog.getByText(CONFLICT).waitFor();
    await dialog.getByRole('button', { name: 'Load the current state' }).click();
    await dialog.waitFor({ state: 'detached' });
    await row.getByText('Critical').waitFor();
    await api(`/alert-rules/${rule.id}`, { method: 'DELETE' });
    await done();
  });
});

async function typeNumber(dialog: Locator): Promise<void> {
  const field = dialog.getByLabel(/^To confirm, type/);
  if ((await field.count()) === 0) return;
  const count = /\d+/.exec(await dialog.locator('.field').last().innerText())?.[0] ?? '';
  await field.fill(count);
}

async function finish(page: Page, dialog: Locator): Promise<void> {
  await dialog.getByText('Finished').waitFor();
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await dialog.waitFor({ state: 'detached' });
}

describe('bulk actions', () => {
  it('changes all cases that match', async () => {
    const filter = { state: ['open'], type: ['missing_vima'] };
    const { page, done } = await open(browser, '/reconciliation/cases?state=open&type=missing_vima', { role: 'operator' });
    await page.locator('main tr[data-row]').first().waitFor();
    await page.getByRole('button', { name: /^Change (all )?[\d,]+ cases?…$/ }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('State').selectOption({ label: 'Acknowledge' });
    await dialog.getByLabel('Note').fill('all of them');
    await dialog.getByRole('button', { name: 'Preview' }).click();
    await dialog.getByText(/match(es)? the filter/).waitFor();
    await expectAccessible(page);
    await typeNumber(dialog);
    await dialog.getByRole('button', { name: 'Change', exact: true }).click();
    await finish(page, dialog);
    await page.getByText('No cases match these filters.').waitFor();
    // As it was, for the next run of these tests.
    const body = JSON.stringify({ filter: { ...filter, state: ['acknowledged'] }, state: 'open' });
    const { token } = await api<{ token: string }>('/reconciliation/discrepancies/bulk-actions/preview', { method: 'POST', body });
    await api('/bulk-actions', { method: 'POST', body: JSON.stringify({ token }) });
    await done();
  });

  it('cancels a job, and follows the one that retries it', async () => {
    await api('/queues/export/pause', { method: 'POST' });
    const { job_id: job } = await api<{ job_id: string }>('/exports', { method: 'POST', body: JSON.stringify({ export: 'transactions', format: 'csv' }) });
    const { page, done } = await open(browser, `/jobs?open=${job}`, { role: 'operator' });
    await page.getByRole('button', { name: 'Cancel', exact: true }).click();
    await page.getByRole('button', { name: 'Cancel the job' }).click();
    await page.getByRole('button', { name: 'Retry', exact: true }).click();
    await page.waitForURL((url) => ![null, job].includes(url.searchParams.get('open')));
    await api('/queues/export/resume', { method: 'POST' });
    await page.getByRole('complementary').or(page.getByRole('dialog')).getByText('Succeeded').first().waitFor();
    await done();
  });

  it('says that nothing can be retried', async () => {
    const { page, done } = await open(browser, '/jobs?state=succeeded', { role: 'operator' });
    await loaded(page);
    await page.getByRole('button', { name: /^All matching/ }).click();
    await page.getByRole('button', { name: 'Retry…' }).click();
    await page.getByRole('dialog').getByText('Nothing that matches the filters').waitFor();
    await done();
  });
});

describe('saved views', () => {
  it.each(['/payments?period=30d&status=failed', '/reconciliation/cases?state=open', '/jobs?state=failed', '/sync/quarantine?source=vima', '/audit?outcome=succeeded'])('saves %s, opens it, renames it, and deletes it', async (address) => {
    const { page, done } = await open(browser, address);
    await loaded(page);
    const name = `browser test ${Date.now()}`;
    const views = page.getByRole('main').getByRole('button', { name: 'Views', exact: true });
    await views.click();
    await page.getByLabel('Name', { exact: true }).fill(name);
    await page.getByRole('button', { name: 'Save these filters' }).click();
    await page.getByRole('button', { name, exact: true }).waitFor();
    await page.goto(new URL(address.split('?')[0] ?? '', page.url()).href);
    await loaded(page);
    await views.click();
    await page.getByRole('button', { name, exact: true }).click();
    await page.waitForURL((url) => url.search === `?${address.split('?')[1]}`);
    await views.click();
    const renamed = `${name}, renamed`;
    await page.getByRole('button', { name: `Rename ${name}` }).click();
    await page.getByLabel(`Rename ${name}`).fill(renamed);
    await expectAccessible(page);
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.getByRole('button', { name: renamed, exact: true }).waitFor();
    await page.getByRole('button', { name: `Delete ${renamed}` }).click();
    await page.getByRole('button', { name: renamed, exact: true }).waitFor({ state: 'detached' });
    await done();
  });
});

describe('many saved views', () => {
  it('lists those of all pages', async () => {
    const started = Date.now();
    const saved: string[] = [];
    for (let number = 0; number < 101; number += 1) {
      const { id } = await api<{ id: string }>('/views', { method: 'POST', body: JSON.stringify({ name: `browser test ${started} ${number}`, page: 'jobs', filters: {} }) });
      saved.push(id);
    }
    const { page, done } = await open(browser, '/jobs');
    await loaded(page);
    await page.getByRole('main').getByRole('button', { name: 'Views', exact: true }).click();
    await page.getByRole('button', { name: `browser test ${started} 0`, exact: true }).waitFor();
    for (const id of saved) await api(`/views/${id}`, { method: 'DELETE' });
    await done();
  });
});

describe('questions of every morning', () => {
  it('leads from the inbox to what does not match of yesterday', async () => {
    const { page, done } = await open(browser, '/');
    await page.getByRole('link', { name: /cases? of yesterday/ }).click();
    await page.waitForURL(/\/reconciliation\/\d{4}-\d\d-\d\d$/);
    await page.getByRole('heading', { name: 'Cases of this day' }).waitFor();
    await page.goto(new URL('/reconciliation', page.url()).href);
    await page.getByRole('link', { name: 'Yesterday', exact: true }).click();
    await page.getByRole('heading', { name: 'Cases of this day' }).waitFor();
    await done();
  });

  it('shows the jobs that a link is about before everything else', async () => {
    const { page, done } = await open(browser, '/jobs?state=failed');
    await loaded(page);
    const headings = () => page.locator('main h2').allInnerTexts();
    expect((await headings())[0]).toBe('Jobs');
    await page.goto(new URL('/jobs', page.url()).href);
    await loaded(page);
    expect((await headings())[0]).toBe('Queues');
    await done();
  });
});

describe('figures', () => {
  it('compares the month so far with the same part of the one before', async () => {
    const { page, done } = await open(browser, '/overview?period=month');
    await page.getByText('against the same days of last month, up to the same time').waitFor();
    const before = page.getByRole('region', { name: 'Compared with the same days of last month' }).locator('th', { hasText: 'Before' }).locator('time');
    const now = new Date();
    const lastMonth = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString();
    expect(Date.parse((await before.first().getAttribute('datetime')) ?? '')).toBe(Date.parse(lastMonth));
    await done();
  });

  it('says that a payment of both sources counts twice, and counts it once', async () => {
    const { page, done } = await open(browser, '/overview?period=30d&count=records');
    const counted = (what: string) => page.locator('.figure').filter({ has: page.locator('.title', { hasText: new RegExp(`^${what}$`) }) });
    await counted('Records').waitFor();
    await page.getByRole('link', { name: 'Count it once' }).click();
    await page.waitForURL((url) => !url.search.includes('count='));
    await counted('Payments').waitFor();
    await done();
  });

  it('leads from a figure to as many rows', async () => {
    const { page, done } = await open(browser, '/overview?period=yesterday');
    await loaded(page);
    // Both at once: payments arrive meanwhile, and the link leads to those that were counted.
    const { counted, href } = await page.locator('a.figure', { hasText: 'Failed' }).evaluate((figure) => ({
      counted: figure.querySelector<HTMLElement>('.value')?.innerText.trim(),
      href: (figure as HTMLAnchorElement).href,
    }));
    await page.goto(href);
    await page.waitForURL(/\/payments\?.*status=failed/);
    await page.getByText(`${counted} payment`).waitFor();
    await done();
  });
});
