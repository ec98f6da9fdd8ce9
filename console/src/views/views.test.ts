import { describe, expect, it } from 'vitest';
import { parseMessage, topicsOf } from '../api/messages';
import { fromNetwork, fromProblem } from '../api/problem';
import { messages } from '../messages/en';
import { presetPeriod } from '../lib/period';
import { weekdayName } from '../lib/time';
import { FIELDS, type RuleForm, toForm, toRequest } from './alerts/ruleFields';
import { canReplay, stateOf, subscribedTo, toRequest as toWebhook } from './alerts/webhook';
import { lastPage, oldCases, urgent } from './inbox/attention';
import { progressOf } from './jobs/progress';
import { scheduleWords } from './jobs/scheduleWords';
import { againstWords } from './overview/before';
import { shownColumns } from './payments/columns';
import { hasFilters, otherFilters, toListQuery } from './payments/filters';
import { differenceOf } from './reconciliation/difference';
import { gradeOf, moveMonth, weeksOf } from './reconciliation/month';
import { amountsOf, riskOf, sumByCurrency } from './reconciliation/risk';
import { actionsOf, TARGET, valueOf, verdictOf } from './reconciliation/verdict';
import { toForm as toReportForm, toRequest as toReport } from './reports/reportForm';
import { replayOutcome } from './sync/replay';

describe('attention', () => {
  it('counts what a week has not settled', () => {
    const aged = (bucket: '0-1' | '8+', count: number) => ({ bucket, count, amount: null, currency: null, by_currency: [], rows_url: null });
    expect(oldCases({ count: 3, by_currency: [], rows_url: null, by_age: [aged('0-1', 1), aged('8+', 2)] })).toBe(2);
    expect(oldCases(undefined)).toBe(0);
  });

  it('asks for the last page, and for none that the API would refuse', () => {
    expect([0, 1, 5, 6, 12].map((total) => lastPage(total, 5))).toEqual([1, 1, 1, 2, 3]);
    expect(lastPage(2_000_000, 5)).toBe(20_001);
  });

  const calm = { sources: [{ source: 'vima', state: 'fresh' }], alerts: [], cases: 0, failedJobs: 0, quarantined: 0 } as const;

  it('says nothing when nothing is wrong', () => {
    expect(urgent(calm)).toEqual([]);
    expect(urgent({ ...calm, sources: [{ source: 'vima', state: 'unread' }] })).toEqual([]);
  });

  it('puts a critical alert before everything, another one after what it is about', () => {
    const all = { sources: [{ source: 'vima', state: 'stale' }], cases: 1, failedJobs: 1, quarantined: 1 } as const;
    expect(urgent({ ...all, alerts: [{ severity: 'warning' }, { severity: 'critical' }] })).toEqual(['alerts', 'source', 'cases', 'jobs', 'quarantine']);
    expect(urgent({ ...all, alerts: [{ severity: 'warning' }] })).toEqual(['source', 'cases', 'jobs', 'alerts', 'quarantine']);
  });
});

describe('what a period is compared with', () => {
  const words = (from: Parameters<typeof presetPeriod>[0]) => againstWords(presetPeriod(from, '2026-03-15'), '2026-03-15', messages);

  it('is named, and whether it is the whole of it', () => {
    expect(words('today')).toBe('Changes are against yesterday, up to the same time');
    expect(words('yesterday')).toBe('Changes are against the day before');
    expect(words('month')).toBe('Changes are against the same days of last month, up to the same time');
    expect(words('30d')).toBe('Changes are against the 30 days before, up to the same time');
    expect(againstWords({ preset: null, from: '2026-03-01', to: '2026-03-14' }, '2026-03-15', messages)).toBe('Changes are against the 14 days before');
  });
});

describe('payment filters', () => {
  const today = '2026-03-01';
  const query = (text: string) => toListQuery(new URLSearchParams(text), today, 'Asia/Kolkata');

  it('reads lists, and drops what is of the console', () => {
    expect(query('period=today&status=failed,pending&open=17&money=usd&search=402')).toEqual({ status: ['failed', 'pending'], search: '402', from_date: today, to_date: today, timezone: 'Asia/Kolkata' });
  });

  it('passes filters on that it does not know, as rows_url may contain them', () => {
    const text = 'created_from=2026-03-01T00:00:00Z&created_until=2026-03-01T01:00:00Z';
    expect(query(text)).toEqual({ created_from: '2026-03-01T00:00:00Z', created_until: '2026-03-01T01:00:00Z' });
    expect(otherFilters(new URLSearchParams(text)).map(({ name }) => name)).toEqual(['created_from', 'created_until']);
  });

  it('counts recurring hours in the zone of the view, with days or without', () => {
    expect(query('created_from=2026-03-01T00:00:00Z&hour=9')).toMatchObject({ hour: '9', timezone: 'Asia/Kolkata' });
  });

  it('is about seven days without a period, and about all time if that is asked for', () => {
    expect(query('')).toMatchObject({ from_date: '2026-02-23', to_date: today });
    expect(query('period=all')).toEqual({});
    expect(hasFilters(new URLSearchParams('period=all&sort_by=amount'))).toBe(false);
    expect(hasFilters(new URLSearchParams('kind=payout'))).toBe(true);
  });

  it('shows chosen columns in the usual order, and the default ones if none is known', () => {
    expect(shownColumns(['utr', 'amount', 'gone']).map(({ name }) => name)).toEqual(['amount', 'utr']);
    expect(shownColumns(['gone']).length).toBeGreaterThan(5);
  });
});

describe('reconciliation', () => {
  it('fills a month with whole weeks', () => {
    const weeks = weeksOf('2026-11');
    expect(weeks.every((week) => week.length === 7)).toBe(true);
    expect(weeks.flat().filter((day) => day !== null)).toHaveLength(30);
    expect(weeks[0]?.[6]).toBe('2026-11-01');
    expect([moveMonth('2026-01', -1), moveMonth('2026-12', 1)]).toEqual(['2025-12', '2027-01']);
  });

  it('grades what was judged, not what is pending', () => {
    const day = (matched: number, pending: number) => gradeOf({ run_id: 'x', matched: { count: 0, percentage: matched, amount: null }, pending: { count: 0, percentage: pending } });
    expect([day(99.5, 0), day(90, 10), day(97, 0), day(96.99, 0), day(0, 100)]).toEqual(['good', 'good', 'fair', 'poor', 'good']);
    expect(gradeOf(undefined)).toBe('none');
  });

  it('adds what is at risk by currency, and leaves zeros out', () => {
    const none = { amount: '0.00', status: '0.00', missing_vima: '0.00', missing_payshack: '0.00', duplicate: '0.00' };
    expect(riskOf([{ currency: 'INR', matched: '1', pending: '0', at_risk: { ...none, amount: '0.10', status: '0.20' } }, { currency: 'USD', matched: '1', pending: '0', at_risk: none }])).toEqual([{ currency: 'INR', amount: '0.30' }]);
    expect(amountsOf([{ amount: '3', currency: 'INR' }, { amount: '0', currency: null }, { amount: '20', currency: 'EUR' }])).toEqual([{ amount: '20', currency: 'EUR' }, { amount: '3', currency: 'INR' }]);
    expect(sumByCurrency([{ amount: '1', currency: 'INR' }, { amount: '2.5', currency: 'INR' }, { amount: null, currency: 'INR' }])).toEqual([{ currency: 'INR', amount: '3.5' }]);
  });

  it('counts a case as the totals do: the difference of amounts, otherwise the whole amount', () => {
    const item = { vima_amount: '800.00', payshack_amount: '790.00', amount_diff: '10.00', vima_currency: 'INR', payshack_currency: 'INR' } as Parameters<typeof valueOf>[0];
    expect(valueOf({ ...item, match_status: 'discrepancy', discrepancy_type: 'amount' })).toEqual({ amount: '10.00', currency: 'INR', signed: true });
    expect(valueOf({ ...item, match_status: 'discrepancy', discrepancy_type: 'status' })).toEqual({ amount: '800.00', currency: 'INR', signed: false });
    expect(verdictOf({ match_status: 'missing_vima', discrepancy_type: 'missing' })).toBe('missing_vima');
  });

  it('offers legal moves only', () => {
    expect(actionsOf('open').map((action) => TARGET[action])).toEqual(['acknowledged', 'resolved', 'ignored']);
    expect(actionsOf('acknowledged').map((action) => TARGET[action])).toEqual(['resolved', 'ignored', 'open']);
    for (const state of ['resolved', 'ignored', 'auto_resolved'] as const) expect(actionsOf(state)).toEqual(['reopen']);
  });

  it('finds what changed between two runs', () => {
    const result = (key: string, match_status: 'pending' | 'discrepancy', occurrence = 1) => ({ client_operation_id: key, occurrence, match_status, discrepancy_type: null });
    const { appeared, gone, changed } = differenceOf([result('a', 'pending'), result('b', 'pending'), result('c', 'pending', 2)], [result('a', 'discrepancy'), result('b', 'pending'), result('c', 'pending', 1)]);
    expect(appeared.map(({ client_operation_id }) => client_operation_id)).toEqual(['c']);
    expect(gone.map(({ occurrence }) => occurrence)).toEqual([2]);
    expect(changed.map(({ after }) => after.client_operation_id)).toEqual(['a']);
  });
});

describe('jobs', () => {
  const words = (expression: string) => scheduleWords(expression, messages.jobs.schedule, (day) => weekdayName((day + 6) % 7, 'en'));

  it.each([
    ['every 60 s', 'every minute'],
    ['every 300 s', 'every 5 minutes'],
    ['every 45 s', 'every 45 seconds'],
    ['every 86400 s', 'every 24 hours'],
    ['0 30 2 * * *', 'every day at 02:30'],
    ['30 2 * * *', 'every day at 02:30'],
    ['0 */5 * * * *', 'every 5 minutes'],
    ['0 * * * * *', 'every minute'],
    ['15 * * * *', 'every hour at minute 15'],
    ['0 */6 * * *', 'every 6 hours'],
    ['0 8 * * 1', 'every Mon at 08:00'],
    ['0 8 * * 7', 'every Sun at 08:00'],
    ['0 8 1 * *', 'on day 1 of the month at 08:00'],
    ['5,35 8-18 * * 1-5', '5,35 8-18 * * 1-5'],
    ['30 0 2 * * *', '30 0 2 * * *'],
  ])('%s is %s', (expression, expected) => {
    expect(words(expression)).toBe(expected);
  });

  it('reads the progress of any kind', () => {
    expect(progressOf({ progress: 967 })).toEqual({ done: 967, total: null });
    expect(progressOf({ rows: 5, total: 10 })).toEqual({ done: 5, total: 10 });
    expect(progressOf({ date: '2026-01-15' })).toBeNull();
    expect(progressOf(null)).toBeNull();
  });
});

describe('alert rules', () => {
  const form: RuleForm = { ...toForm(null), name: ' Rate ', threshold: '80,5', min_count: '50', weeks: '4', currency: 'INR', projects: 'acme, ,beta' };

  it('sends the parameters of its kind and no others', () => {
    for (const kind of Object.keys(FIELDS) as (keyof typeof FIELDS)[]) {
      const sent = Object.keys(toRequest({ ...form, kind }));
      const parameters = ['window_minutes', 'threshold', 'resolve_threshold', 'min_count', 'weeks', 'hours', 'currency', 'job_kind'].filter((name) => sent.includes(name));
      expect(FIELDS[kind]).toEqual(expect.arrayContaining(parameters));
    }
  });

  it('keeps decimals as text', () => {
    expect(toRequest(form)).toMatchObject({ name: 'Rate', threshold: '80.5', min_count: 50, window_minutes: 60, projects: ['acme', 'beta'] });
    expect(toRequest(form)).not.toHaveProperty('weeks');
  });

  it('is about a source where there is one, and waits for it where payments are judged', () => {
    const chosen: RuleForm = { ...form, source: 'vima', max_lag_minutes: '30' };
    expect(toRequest(chosen)).toMatchObject({ source: 'vima', max_lag_minutes: 30 });
    expect(toRequest({ ...chosen, source: '', max_lag_minutes: '' })).toMatchObject({ source: null });
    expect(toRequest({ ...chosen, kind: 'sync_lag' })).not.toHaveProperty('max_lag_minutes');
    expect(toRequest({ ...chosen, kind: 'job_failed' })).not.toHaveProperty('source');
  });
});

describe('replays', () => {
  it('ends when its job does, by what could be read', () => {
    expect(replayOutcome(undefined)).toBeNull();
    expect(replayOutcome({ state: 'running', result: null })).toBeNull();
    expect(replayOutcome({ state: 'succeeded', result: { replayed: 1, stored: 1, still_malformed: 0 } })).toBe('stored');
    expect(replayOutcome({ state: 'succeeded', result: { replayed: 1, stored: 0, still_malformed: 1 } })).toBe('malformed');
    expect(replayOutcome({ state: 'cancelled', result: null })).toBe('failed');
  });
});

describe('live messages', () => {
  it('reads what has a type and an id, and nothing else', () => {
    expect(parseMessage('{"type":"new_transactions","id":7,"count":2}')).toMatchObject({ id: 7, count: 2 });
    expect(parseMessage('{"type":"export_ready","id":"01980f2a","event_id":8}')).toMatchObject({ event_id: 8 });
    for (const bad of ['', '{', '[]', 'null', '{"id":1}', '{"type":"x"}', 7]) expect(parseMessage(bad)).toBeNull();
  });

  it.each([
    ['metrics_updated', ['metrics']],
    ['sync_failed', ['sync', 'jobs']],
    ['reconciliation_progress', ['reconciliation']],
    ['pong', []],
    ['something_new', []],
  ])('%s outdates %j', (type, topics) => {
    expect(topicsOf(type)).toEqual(topics);
  });
});

describe('problems', () => {
  it('keeps the detail and the request id', () => {
    const error = fromProblem(new Response(null, { status: 422 }), { code: 'VALIDATION_ERROR', detail: 'No.', request_id: 'r1', errors: [{ field: 'search', message: 'too short' }] });
    expect([error.message, error.requestId, error.fields[0]?.field, error.isTemporary]).toEqual(['No.', 'r1', 'search', false]);
  });

  it('copes with an answer of a proxy', () => {
    const error = fromProblem(new Response(null, { status: 502, statusText: 'Bad Gateway', headers: { 'X-Request-Id': 'r2' } }), undefined);
    expect([error.message, error.requestId, error.code, error.isTemporary]).toEqual(['Bad Gateway', 'r2', 'HTTP_502', true]);
    expect(fromNetwork(new TypeError('Failed to fetch')).status).toBe(0);
  });
});

describe('report schedules', () => {
  const form = toReportForm(null, { timezone: 'Asia/Kolkata', language: 'en' });

  it('sends what belongs to the kind and the destination', () => {
    expect(toReport({ ...form, name: ' Digest ', address: 'a@example.com, ,b@example.com' })).toEqual({ name: 'Digest', kind: 'digest', cron: '0 8 * * *', timezone: 'Asia/Kolkata', language: 'en', destination: 'email', recipients: ['a@example.com', 'b@example.com'] });
    expect(toReport({ ...form, kind: 'export', destination: 'object_store', address: 'daily' })).toMatchObject({ export: 'transactions', period: 'yesterday', folder: 'daily' });
    expect(toReport({ ...form, kind: 'export', export: 'payshack-clients' })).toMatchObject({ period: null });
    expect(toReport({ ...form, kind: 'export', export: 'reconciliation', period: '' })).toMatchObject({ period: null });
  });
});

describe('webhooks', () => {
  const webhook = { enabled: true, failing_since: null, disabled_reason: null };

  it('tells who has disabled it', () => {
    expect(stateOf(webhook)).toBe('enabled');
    expect(stateOf({ ...webhook, failing_since: '2026-03-01T00:00:00Z' })).toBe('failing');
    expect(stateOf({ ...webhook, enabled: false, failing_since: '2026-03-01T00:00:00Z' })).toBe('disabled');
    expect(stateOf({ ...webhook, enabled: false, disabled_reason: 'the receiver replied 410 Gone' })).toBe('stopped');
  });

  it('asks for everything when nothing is chosen', () => {
    const form = { url: ' https://example.com/hook ', description: '', events: [], sources: [] };
    expect(toWebhook(form)).toEqual({ url: 'https://example.com/hook', description: '', events: null, sources: null });
    expect(toWebhook({ ...form, events: ['alert'], sources: ['vima'] })).toMatchObject({ events: ['alert'], sources: ['vima'] });
    expect(toWebhook({ ...form, sources: ['vima', 'payshack'] })).toMatchObject({ sources: null });
    expect(subscribedTo(['*'])).toEqual([]);
  });

  it('replays what has ended, except a test', () => {
    expect(canReplay({ state: 'failed', type: 'alert' })).toBe(true);
    expect(canReplay({ state: 'pending', type: 'alert' })).toBe(false);
    expect(canReplay({ state: 'delivered', type: 'test' })).toBe(false);
  });
});
