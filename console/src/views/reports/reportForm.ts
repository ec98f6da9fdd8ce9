// The form of a report schedule (docs/reports.md): what belongs to its kind and its destination is sent, and nothing else.
import type { Schemas } from '../../api/client';

export interface ReportForm {
  name: string;
  kind: Schemas['ReportKind'];
  export: Schemas['ExportName'];
  /** Empty: all days. */
  period: Schemas['ReportPeriod'] | '';
  format: Schemas['ExportFormat'];
  cron: string;
  timezone: string;
  language: Schemas['ReportLanguage'];
  destination: Schemas['ReportDestination'];
  /** Addresses by commas, the id of a webhook, or a folder. */
  address: string;
}

export function toForm(schedule: Schemas['ReportSchedule'] | null, defaults: Pick<ReportForm, 'timezone' | 'language'>): ReportForm {
  return {
    name: schedule?.name ?? '',
    kind: schedule?.kind ?? 'digest',
    export: schedule?.export ?? 'transactions',
    period: schedule?.export ? (schedule.period ?? '') : 'yesterday',
    format: schedule?.format ?? 'csv',
    cron: schedule?.cron ?? '0 8 * * *',
    timezone: schedule?.timezone ?? defaults.timezone,
    language: schedule?.language ?? defaults.language,
    destination: schedule?.destination ?? 'email',
    address: schedule?.recipients?.join(', ') ?? schedule?.webhook_id ?? schedule?.folder ?? '',
  };
}

/** Clients are not of a day. */
export function hasDays(name: Schemas['ExportName']): boolean {
  return name !== 'payshack-clients';
}

/** Cases may be of all days. */
export function mayBeOfAllDays(name: Schemas['ExportName']): boolean {
  return name === 'reconciliation';
}

function addressOf({ destination, address }: ReportForm): Pick<Schemas['ReportScheduleRequest'], 'recipients' | 'webhook_id' | 'folder'> {
  if (destination === 'email') return { recipients: address.split(',').map((each) => each.trim()).filter(Boolean) };
  return destination === 'webhook' ? { webhook_id: address.trim() } : { folder: address.trim() };
}

function fileOf({ kind, export: name, format, period }: ReportForm): Pick<Schemas['ReportScheduleRequest'], 'export' | 'format' | 'period'> {
  return kind === 'digest' ? {} : { export: name, format, period: hasDays(name) ? period || null : null };
}

export function toRequest(form: ReportForm): Schemas['ReportScheduleRequest'] {
  const { kind, timezone, language, destination } = form;
  return { name: form.name.trim(), kind, cron: form.cron.trim(), timezone: timezone.trim(), language, destination, ...addressOf(form), ...fileOf(form) };
}
