// What people do with the console, and what happens by itself: signing in, finding payments, working on cases, live updates.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { api, CONSOLE, expectAccessible, keyOf, launch, loaded, open, SANDBOX } from './browser';

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

describe('signing in', () => {
  it('exchanges a key for a session, and ends it', async () => {
    const { page, allow, done } = await open(browser, '/payments', { role: null });
    allow(401, 404); // no one is signed in; no identity provider is set up
    const field = page.getByLabel('API key');
    await field.fill('psp_live_wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('This key is not valid').waitFor();
    await expectAccessible(page);
    await field.fill(keyOf('viewer'));
    await page.getByRole('button', { name: 'Sign in' }).click();
    await loaded(page);
    expect(new URL(page.url()).pathname).toBe('/payments');
    expect(await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }]))).not.toContain(keyOf('viewer'));
    await page.getByRole('button', { name: 'Account' }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await field.waitFor();
    await done();
  });
});

describe('choices', () => {
  it('remembers language, theme and zone', async () => {
    const { page, done } = await open(browser, '/payments');
    await loaded(page);
    await page.getByRole('button', { name: 'EN: Switch language' }).click();
    await page.getByRole('heading', { name: 'Платежи' }).waitFor();
    await page.getByRole('button', { name: 'UTC' }).click();
    await page.getByRole('button', { name: 'Asia/Kolkata' }).click();
    await page.reload();
    await page.getByRole('heading', { name: 'Платежи' }).waitFor();
    await page.getByRole('button', { name: 'Asia/Kolkata' }).waitFor();
    await done();
  });

  it('is operated by the keyboard', async () => {
    const { page, done } = await open(browser, '/');
    await loaded(page);
    await page.keyboard.press('g');
    await page.keyboard.press('p');
    await page.getByRole('heading', { name: 'Payments' }).waitFor();
    await page.locator('main tr[data-row]').first().waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.waitForURL(/open=/);
    await page.keyboard.press('Escape');
    await page.waitForURL((url) => !url.searchParams.has('open'));
    await page.keyboard.press('?');
    const help = page.getByRole('dialog', { name: 'Keyboard' });
    await help.waitFor();
    await page.keyboard.press('Escape');
    await help.waitFor({ state: 'detached' });
    await page.keyboard.press('/');
    expect(await page.evaluate(() => document.activeElement?.hasAttribute('data-search'))).toBe(true);
    await done();
  });
});

describe('payments', () => {
  it('filters by the URL and by the bar alike', async () => {
    const { page, done } = await open(browser, '/payments?period=30d&status=failed');
    await page.locator('main tr[data-row]').first().waitFor();
    const states = await page.locator('main tr[data-row] .badge').allInnerTexts();
    expect(new Set(states.map((text) => text.trim()))).toEqual(new Set(['Failed']));
    await page.getByRole('button', { name: 'Source', exact: true }).click();
    await page.getByLabel('PayShack').check();
    await page.waitForURL(/source=payshack/);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Clear the filters' }).click();
    await page.waitForURL((url) => !url.searchParams.has('status'));
    await done();
  });

  it('scrolls through thousands of rows with a few in the page', async () => {
    const { page, done } = await open(browser, '/payments?period=30d');
    const box = page.getByRole('region', { name: 'Payments' });
    await page.locator('main tr[data-row]').first().waitFor();
    const seen = new Set<string>();
    for (let turn = 0; turn < 12; turn += 1) {
      for (const text of await page.locator('main tr[data-row]').allInnerTexts()) seen.add(text);
      await box.evaluate((element) => element.scrollBy(0, 900));
      await page.waitForTimeout(120); // a person scrolls, too
    }
    expect(seen.size).toBeGreaterThan(150);
    expect(await page.locator('main tr[data-row]').count()).toBeLessThan(120);
    await done();
  });

  it('finds pasted ids, and says which are missing', async () => {
    const { items } = await api<{ items: { source_id: string }[] }>('/transactions?limit=3');
    const { page, done } = await open(browser, '/');
    await loaded(page);
    await page.locator('[data-search]').focus();
    const column = [...items.map(({ source_id }) => `'${source_id}`), 'no-such-id-000'].join('\r\n');
    await page.evaluate((text) => navigator.clipboard.writeText(text), column);
    await page.keyboard.press('Control+v');
    await page.keyboard.press('Enter');
    await page.getByText('3 found · 1 not found').waitFor();
    await page.getByText('no-such-id-000').waitFor();
    await done();
  });

  it('finds a column that is pasted into the filter of the list', async () => {
    const { items } = await api<{ items: { source_id: string }[] }>('/transactions?limit=3');
    const { page, done } = await open(browser, '/payments');
    await loaded(page);
    await page.getByLabel('Id, UTR, order, payer').focus();
    await page.evaluate((text) => navigator.clipboard.writeText(text), items.map(({ source_id }) => source_id).join('\r\n'));
    await page.keyboard.press('Control+v');
    await page.getByText('3 found · 0 not found').waitFor();
    await done();
  });

  it('explains a payment, and an id that no payment has, in the chosen language', async () => {
    const { page, done } = await open(browser, '/payments?explain=no-such-id-000', { language: 'ru' });
    await page.getByRole('heading', { name: 'Почему здесь нет no-such-id-000?' }).waitFor();
    expect(await page.locator('main .conclusion').innerText()).toMatch(/^[А-Я].*[а-я.]$/);
    await page.goto(`${CONSOLE}/payments?source=payshack&period=30d`);
    await page.locator('main tr[data-row]').first().click();
    await page.locator('[data-panel] .reason').first().waitFor();
    for (const sentence of await page.locator('[data-panel] .reason p').allInnerTexts()) expect(sentence).toMatch(/[а-яё]{3}/);
    await done();
  });

  it('exports the selection by a job, and downloads it', async () => {
    const { page, done } = await open(browser, '/payments?period=7d&status=success');
    await page.locator('main tr[data-row]').first().waitFor();
    await page.getByRole('button', { name: 'Export' }).click();
    await page.getByRole('button', { name: 'Prepare in the background' }).click();
    const link = page.getByRole('dialog').getByRole('link', { name: 'Download' });
    await link.waitFor({ timeout: 30_000 });
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    expect(download.suggestedFilename()).toMatch(/\.csv$/);
    await done();
  });

  it('shows the detail of an error with its request id', async () => {
    const { page, allow, done } = await open(browser, '/payments?period=30d&search=---');
    allow(422);
    await page.getByRole('alert').getByText('Request id').waitFor();
    await done();
  });
});

describe('reconciliation', () => {
  it('works on a case, and many at once', async () => {
    const { page, done } = await open(browser, '/reconciliation/cases?state=open', { role: 'operator' });
    const rows = page.locator('main tr[data-row]');
    await rows.first().waitFor();
    const keyOfFirst = () => rows.first().locator('td').last().innerText();
    const key = await keyOfFirst();
    await rows.first().click();
    await page.getByLabel('Note').fill('asked the provider');
    await page.getByRole('button', { name: 'Assign to me' }).click();
    await page.getByRole('button', { name: 'Acknowledge' }).click();
    await page.getByText('Saved', { exact: true }).waitFor();
    await page.locator('[data-panel]').getByText('is now: Acknowledged').last().waitFor();
    await page.getByRole('button', { name: 'Reopen' }).click();
    await page.locator('[data-panel] form').getByRole('button', { name: 'Acknowledge' }).waitFor();
    await page.keyboard.press('Escape');
    // It left the list of open cases, and is back.
    await expect.poll(keyOfFirst, { timeout: 30_000 }).toBe(key);
    await rows.nth(1).getByRole('checkbox').check();
    await rows.nth(2).getByRole('checkbox').check();
    await page.getByRole('group', { name: 'Actions' }).getByRole('button', { name: 'Acknowledge' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('2 cases will change').waitFor();
    await expectAccessible(page);
    await dialog.getByRole('button', { name: 'Acknowledge' }).click();
    await page.getByText('2 cases changed').waitFor();
    // As it was, for the next run of these tests.
    const { items } = await api<{ items: { id: string }[] }>('/reconciliation/discrepancies?state=acknowledged');
    await api('/reconciliation/discrepancies', { method: 'PATCH', body: JSON.stringify({ ids: items.map(({ id }) => id), state: 'open' }) });
    await done();
  });

  it('runs a day now', async () => {
    const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
    const { page, done } = await open(browser, `/reconciliation/${yesterday}`, { role: 'operator' });
    await loaded(page);
    await page.getByRole('button', { name: 'Run now' }).click();
    await page.getByText(/The reconciliation of .* is done/).waitFor({ timeout: 30_000 });
    await done();
  });
});

describe('operating', () => {
  it('starts a sync', async () => {
    const { page, done } = await open(browser, '/sync', { role: 'operator' });
    await loaded(page);
    await page.getByRole('button', { name: 'Run now' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Start' }).click();
    await page.getByText(/syncs? (is|are) queued/).waitFor();
    await done();
  });

  it('pauses and resumes a queue', async () => {
    const { page, done } = await open(browser, '/jobs');
    await loaded(page);
    await page.getByRole('button', { name: 'Pause: export' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Pause', exact: true }).click();
    await page.getByText(/paused by/).waitFor();
    await page.getByRole('button', { name: 'Resume', exact: true }).click();
    await page.getByText(/paused by/).waitFor({ state: 'detached' });
    await done();
  });

  it('creates a rule, tries it on the past, and deletes it', async () => {
    const { page, done } = await open(browser, '/alerts', { role: 'operator' });
    await loaded(page);
    const name = `browser test ${Date.now()}`;
    await page.getByRole('button', { name: 'New rule' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByLabel('Threshold').fill('1');
    await dialog.getByRole('button', { name: 'Try on the last 30 days' }).click();
    await dialog.getByText(/It would have fired/).waitFor();
    await dialog.getByRole('button', { name: 'Save' }).click();
    const row = page.locator('tr', { hasText: name });
    await row.waitFor();
    await row.getByRole('button', { name: /Actions/ }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await row.waitFor({ state: 'detached' });
    await done();
  });

  it('creates a key, shows it once, and revokes it', async () => {
    const { page, done } = await open(browser, '/keys');
    await loaded(page);
    const name = `browser-test-${Date.now()}`;
    await page.getByRole('button', { name: 'New key' }).click();
    await page.getByLabel('Owner').fill(name);
    await page.getByRole('dialog').getByRole('button', { name: 'New key' }).click();
    expect(await page.locator('[data-secret]').innerText()).toMatch(/^psp_/);
    await page.keyboard.press('Escape');
    const row = page.locator('tr', { hasText: name });
    await row.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await row.waitFor({ state: 'detached' });
    await done();
  });
});

describe('webhooks', () => {
  it('creates one, shows its secret once, tests it, and deletes it', async () => {
    // The system under test allows loopback receivers, as `make demo` does.
    const received: string[] = [];
    const receiver = createServer((request, answer) => {
      received.push(String(request.headers['webhook-id']));
      answer.end();
    });
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const { page, done } = await open(browser, '/alerts/webhooks');
    await loaded(page);
    await page.getByRole('button', { name: 'New webhook' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Address').fill(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`);
    await dialog.getByLabel('What it is for').fill('browser test');
    await dialog.getByLabel('job_failed').check();
    await expectAccessible(page);
    await dialog.getByRole('button', { name: 'Save' }).click();
    expect(await page.locator('[data-secret]').innerText()).toMatch(/^whsec_/);
    await page.keyboard.press('Escape');
    const row = page.locator('main tr[data-row]', { hasText: 'browser test' });
    await row.click();
    const panel = page.locator('[data-panel]');
    await panel.getByRole('button', { name: 'Send a test' }).click();
    await panel.locator('li', { hasText: 'Delivered' }).waitFor();
    expect(received).toHaveLength(1);
    await panel.locator('summary').first().click();
    await expectAccessible(page);
    await panel.getByRole('button', { name: 'Rotate the secret' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Rotate the secret' }).click();
    await page.locator('[data-secret]').waitFor();
    await page.keyboard.press('Escape');
    await panel.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await row.waitFor({ state: 'detached' });
    await done();
    receiver.close();
  });
});

async function createPayments(): Promise<void> {
  await fetch(`${SANDBOX}/sandbox/live`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"create": 5}' });
}

/** Waits until new payments of the sandbox are stored, twice: the events of the first are announced by then. */
async function paymentsAreStored(): Promise<void> {
  const newest = async () => (await api<{ items: { id: string }[] }>('/transactions?limit=1')).items[0]?.id;
  for (let turn = 0; turn < 2; turn += 1) {
    const before = await newest();
    await createPayments();
    await expect.poll(newest, { timeout: 30_000 }).not.toBe(before);
  }
}

describe('live updates', () => {
  it.runIf(SANDBOX)('offers new payments without moving the list', async () => {
    const { page, done } = await open(browser, '/payments');
    const first = page.locator('main tr[data-row]').first();
    await first.waitFor();
    const before = await first.innerText();
    await createPayments();
    const button = page.getByRole('button', { name: /new payments?$/ });
    await button.waitFor({ timeout: 30_000 });
    expect(await first.innerText()).toBe(before);
    await button.click();
    await page.waitForFunction((text) => document.querySelector<HTMLElement>('main tr[data-row]')?.innerText !== text, before);
    await done();
  });

  it('says when the connection is lost, and goes on where it was', async () => {
    const { page, done } = await open(browser, '/');
    const connections: string[] = [];
    let refuse = false;
    await page.routeWebSocket('**/ws/updates*', async (socket) => {
      connections.push(socket.url());
      if (refuse) await socket.close({ code: 1013 });
      else {
        socket.connectToServer().onMessage((message) => {
          socket.send(message);
          close = () => socket.close({ code: 1013 });
        });
      }
    });
    let close: (() => Promise<void>) | undefined;
    await page.goto(`${CONSOLE}/`);
    await loaded(page);
    // The first message brings the id to go on from.
    await expect.poll(() => close !== undefined, { timeout: 30_000 }).toBe(true);
    refuse = true;
    await close?.();
    await page.getByText('The live connection is lost').waitFor({ timeout: 30_000 });
    refuse = false;
    await page.getByText('The live connection is lost').waitFor({ state: 'detached', timeout: 30_000 });
    expect(connections.at(-1)).toMatch(/since=\d+/);
    await done();
  });

  it.runIf(SANDBOX)('rests while it is paused', async () => {
    const { page, done } = await open(browser, '/overview');
    await loaded(page);
    await page.getByRole('button', { name: 'Pause live updates' }).click();
    await page.getByText('Live updates are paused').waitFor();
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await paymentsAreStored();
    expect(requests.filter((url) => url.includes('/metrics/'))).toEqual([]);
    await page.getByRole('main').getByRole('button', { name: 'Resume live updates' }).click();
    await page.getByText('Live updates are paused').waitFor({ state: 'detached' });
    await done();
  });
});
