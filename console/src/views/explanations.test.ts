import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Schemas } from '../api/client';
import { originalWaits, waitSentence } from '../ui/waits';
import type { Payment } from './payments/columns';
import { originalReasons, reasonSentence, referenceSentence } from './payments/reasons';
import { messages as en } from '../messages/en';
import { messages as ru } from '../messages/ru';

const document = JSON.parse(readFileSync(new URL('../../../openapi/openapi.json', import.meta.url), 'utf8'));
const codesOf = <Name extends 'ReasonCode' | 'ReferenceCode' | 'QuarantineCause' | 'WaitCode'>(name: Name): Schemas[Name][] => document.components.schemas[name].enum;
const example = <Name extends keyof Schemas>(name: Name): Schemas[Name] => document.components.schemas[name].example;

const ORIGINAL = 'As the service says.';
const LANGUAGES = [
  ['en', en],
  ['ru', ru],
] as const;
const vima = example('PaymentReferenceExplanation').payments[0]?.transaction as Payment;
const payshack: Payment = { ...vima, id: 'other', source: 'payshack', order_id: 'order-1O42', client_operation_id: null, amount: '154300.00', paid_amount: '154200.00', currency: 'USD', created_at: '2026-01-16T00:10:00Z' };
const explained = { ...example('TransactionExplanation'), counterpart: payshack, similar: [{ difference: 'substitution' as const, transaction: payshack, explanation_url: '' }] };
const reason = (code: string): Schemas['ExplanationReason'] => ({ code: code as Schemas['ReasonCode'], explanation: ORIGINAL, action: '', transaction_id: payshack.id, quarantine_id: null });

function expectWords(sentence: string | undefined, language: string): void {
  expect(sentence).not.toBe(ORIGINAL);
  expect(sentence).toMatch(language === 'ru' ? /[а-яё]{2}/ : /[a-z]{3}/);
  expect(sentence).not.toMatch(/undefined|null|NaN/);
}

describe.each(LANGUAGES)('explanations in %s', (language, words) => {
  it.each(codesOf('ReasonCode'))('says %s of a payment, and what to do', (code) => {
    for (const payment of [vima, payshack]) expectWords(reasonSentence(reason(code), payment, { ...explained, counterpart: payment === vima ? payshack : vima }, words, language), language);
    expectWords(words.explanations.reasonAction[code], language);
  });

  it.each(codesOf('ReferenceCode'))('says %s of an id, and what to do', (code) => {
    expectWords(referenceSentence({ ...example('PaymentReferenceExplanation'), code, explanation: ORIGINAL }, words, language), language);
    expectWords(words.explanations.referenceAction[code], language);
  });

  it.each(codesOf('QuarantineCause'))('says %s of a record, and what to do', (code) => {
    expectWords(words.explanations.cause[code], language);
    expectWords(words.explanations.causeAction[code], language);
  });

  it.each(codesOf('WaitCode'))('says %s of a job', (code) => {
    expectWords(waitSentence({ code, message: ORIGINAL, job_id: null, at: '2026-01-15T10:00:00Z', count: 3 }, words, (at) => at), language);
  });

  it('says what it does not know in the words of the service', () => {
    expect(reasonSentence(reason('of another release'), vima, explained, words, language)).toBe(ORIGINAL);
    expect(reasonSentence(reason('amount_differs'), vima, { ...explained, counterpart: null }, words, language)).toBe(ORIGINAL);
    expect(referenceSentence({ code: 'of another release' as Schemas['ReferenceCode'], explanation: ORIGINAL, sources: [] }, words, language)).toBe(ORIGINAL);
    expect(waitSentence({ code: 'of another release' as Schemas['WaitCode'], message: ORIGINAL, job_id: null, at: null, count: null }, words, (at) => at)).toBe(ORIGINAL);
  });
});

describe('explanations', () => {
  const say = (code: Schemas['ReasonCode'], payment = vima) => reasonSentence(reason(code), payment, { ...explained, counterpart: payment === vima ? payshack : vima }, en, 'en');

  it('compares what was paid, and names the sides whichever is open', () => {
    const amounts = 'Vima’s amount is 154,250.00\u00a0INR, PayShack’s is 154,200.00\u00a0USD: more apart than is tolerated.';
    expect([say('amount_differs'), say('amount_differs', payshack)]).toEqual([amounts, amounts]);
    expect(say('key_differs')).toBe('PayShack has this amount with the key order-1O42: one character differs.');
    expect(say('no_key', payshack)).toBe('PayShack’s record has no order_id, by which it could be compared.');
  });

  it('counts days in the zone of the reconciliation', () => {
    expect(say('other_day')).toContain('Vima’s record is of 15 Jan 2026, PayShack’s of 16 Jan 2026.');
  });

  it('names the days that are still to be read, or the source that was never read', () => {
    const [source] = example('PaymentReferenceExplanation').sources;
    const sentence = (change: Partial<Schemas['ExplainedSource']>) => referenceSentence({ code: 'not_synced', explanation: ORIGINAL, sources: source ? [{ ...source, ...change }] : [] }, en, 'en');
    expect(sentence({ remaining: { from_date: '2026-01-01', to_date: '2026-01-09' } })).toMatch(/from 1 Jan 2026 to 9 Jan 2026\.$/);
    expect(sentence({ remaining: null, read_until: null })).toMatch(/Vima has not been read completely yet\.$/);
    expect(sentence({ remaining: null })).toBe(ORIGINAL);
  });

  it('keeps the words of the service where they have more facts', () => {
    expect(originalReasons([reason('matched'), reason('missing_payshack')])).toEqual([`${ORIGINAL} `]);
    expect(originalWaits([{ code: 'limit', message: 'a', job_id: null, at: null, count: null }, { code: 'queue_paused', message: 'b', job_id: null, at: null, count: null }])).toEqual(['b']);
  });
});
