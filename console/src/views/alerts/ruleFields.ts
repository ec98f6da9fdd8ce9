// Which parameters a kind of rule has (docs/alerts.md): a form shows these and sends no others.
import type { Schemas } from '../../api/client';

export type RuleKind = Schemas['AlertRuleKind'];

export const PARAMETERS = ['window_minutes', 'threshold', 'resolve_threshold', 'min_count', 'weeks', 'hours', 'currency', 'job_kind'] as const;
export type Parameter = (typeof PARAMETERS)[number];

export const FIELDS: Readonly<Record<RuleKind, readonly Parameter[]>> = {
  no_payments: ['window_minutes'],
  low_success_rate: ['window_minutes', 'threshold', 'resolve_threshold', 'min_count'],
  success_rate_below_baseline: ['window_minutes', 'threshold', 'resolve_threshold', 'min_count', 'weeks'],
  failures_doubled: ['window_minutes', 'threshold', 'min_count'],
  open_discrepancies: ['threshold', 'resolve_threshold'],
  value_at_risk: ['threshold', 'currency', 'resolve_threshold'],
  sync_lag: ['threshold', 'resolve_threshold'],
  quarantine: ['threshold', 'resolve_threshold'],
  job_failed: ['window_minutes', 'job_kind'],
  late_changes: ['window_minutes', 'hours', 'threshold', 'resolve_threshold'],
};

const BACKTESTED: ReadonlySet<RuleKind> = new Set(['no_payments', 'low_success_rate', 'success_rate_below_baseline', 'failures_doubled']);

/** Only rules about payments can be tried on the past. */
export function hasBacktest(kind: RuleKind): boolean {
  return BACKTESTED.has(kind);
}

const OF_ALL_SOURCES: ReadonlySet<RuleKind> = new Set(['open_discrepancies', 'value_at_risk', 'job_failed']);

/** Cases and jobs are not of one source. */
export function hasSource(kind: RuleKind): boolean {
  return !OF_ALL_SOURCES.has(kind);
}

export type RuleForm = Record<Parameter | 'for_minutes' | 'clear_minutes' | 'max_lag_minutes' | 'name' | 'description' | 'projects', string> & {
  kind: RuleKind;
  severity: Schemas['AlertSeverity'];
  source: Schemas['Source'] | '';
};

const NUMBERS: ReadonlySet<string> = new Set(['window_minutes', 'min_count', 'weeks', 'hours']);

/** The request of a form. Decimals stay text; an empty field is left to its default. */
export function toRequest(form: RuleForm): Schemas['AlertRuleRequest'] {
  const parameters = FIELDS[form.kind].map((name) => {
    const text = form[name].trim();
    return [name, text === '' ? null : NUMBERS.has(name) ? Number(text) : text.replace(',', '.')] as const;
  });
  const projects = form.projects.split(',').map((each) => each.trim()).filter(Boolean);
  return {
    name: form.name.trim(),
    description: form.description.trim(),
    kind: form.kind,
    severity: form.severity,
    projects,
    for_minutes: Number(form.for_minutes || 0),
    clear_minutes: Number(form.clear_minutes || 0),
    ...(hasSource(form.kind) ? { source: form.source || null } : {}),
    // Only rules about payments wait for what was not read yet.
    ...(hasBacktest(form.kind) && form.max_lag_minutes ? { max_lag_minutes: Number(form.max_lag_minutes) } : {}),
    ...Object.fromEntries(parameters.filter(([, value]) => value !== null)),
  };
}

export function toForm(rule: Schemas['AlertRule'] | null): RuleForm {
  const text = (value: string | number | null | undefined) => (value === null || value === undefined ? '' : String(value));
  return {
    name: rule?.name ?? '',
    description: rule?.description ?? '',
    kind: rule?.kind ?? 'low_success_rate',
    severity: rule?.severity ?? 'warning',
    projects: rule?.projects.join(', ') ?? '',
    window_minutes: rule ? text(rule.window_minutes) : '60',
    threshold: text(rule?.threshold),
    resolve_threshold: text(rule?.resolve_threshold),
    min_count: text(rule?.min_count),
    weeks: text(rule?.weeks),
    hours: text(rule?.hours),
    currency: text(rule?.currency),
    job_kind: text(rule?.job_kind),
    for_minutes: text(rule?.for_minutes ?? 0),
    clear_minutes: text(rule?.clear_minutes ?? 0),
    max_lag_minutes: text(rule?.max_lag_minutes),
    source: rule?.source ?? '',
  };
}
