import type { Messages } from '../index.svelte';
import { pluralIn } from '../plural';

const plural = pluralIn('ru');

export const inbox: Messages['inbox'] = {
  title: 'Входящие',
  attention: 'Требует внимания',
  calm: 'Ничего не требует внимания.',
  calmText: 'Источники читаются, платежи совпадают, сбоев задач нет.',
  atRisk: 'Сумма под вопросом',
  openCases: (n) => plural(n, { one: '# незакрытый случай', few: '# незакрытых случая', many: '# незакрытых случаев' }),
  oldCases: (n) => plural(n, { one: '# старше недели', few: '# старше недели', many: '# старше недели' }),
  casesOfYesterday: (n) => plural(n, { one: '# случай за вчера', few: '# случая за вчера', many: '# случаев за вчера' }),
  oldest: 'Самые старые незакрытые случаи',
  alerts: (n) => plural(n, { one: '# открытое оповещение', few: '# открытых оповещения', many: '# открытых оповещений' }),
  failedJobs: (n) => plural(n, { one: '# задача с ошибкой за сутки', few: '# задачи с ошибкой за сутки', many: '# задач с ошибкой за сутки' }),
  lastFailed: (kind) => `последняя: ${kind}`,
  quarantined: (n) => plural(n, { one: '# запись в карантине', few: '# записи в карантине', many: '# записей в карантине' }),
  quarantineText: 'Их не удалось прочитать, и в цифры они не входят.',
  sourceFailed: (source) => `${source}: последняя синхронизация не удалась`,
  sourceStale: (source) => `${source} не читается`,
  sourceStaleText: (since) => `Последнее полное чтение закончилось ${since}.`,
  today: 'Сегодня',
  toOverview: 'Обзор',
  payins: 'Приём',
  payouts: 'Выплаты',
  successful: 'успешно',
  activity: 'Что происходит',
  quiet: 'С открытия страницы ничего не произошло.',
  event: {
    sync_started: (source) => `${source}: синхронизация началась`,
    sync_completed: (source, records) => `${source}: прочитано ${plural(records, { one: '# запись', few: '# записи', many: '# записей' })}`,
    sync_failed: (source) => `${source}: синхронизация не удалась`,
    new_transactions: (source, n) => `${source}: ${plural(n, { one: '# новый платёж', few: '# новых платежа', many: '# новых платежей' })}`,
    transactions_updated: (source, n) => `${source}: ${plural(n, { one: 'изменился # платёж', few: 'изменились # платежа', many: 'изменились # платежей' })}`,
    reconciliation_started: (day) => `Сверка за ${day} началась`,
    reconciliation_completed: (day) => `Сверка за ${day} завершена`,
    reconciliation_failed: (day) => `Сверка за ${day} не удалась`,
    job_failed: (kind) => `Задача ${kind}: ошибка`,
    export_ready: 'Выгрузка готова',
    alert: (name) => `Оповещение: ${name}`,
  },
};
