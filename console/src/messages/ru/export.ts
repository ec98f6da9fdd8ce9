import type { Messages } from '../index.svelte';

export const exporting: Messages['exporting'] = {
  title: 'Выгрузка',
  button: 'Выгрузка',
  format: 'Формат',
  formats: { csv: 'CSV', xlsx: 'Excel', ndjson: 'NDJSON' },
  columns: 'Столбцы',
  shown: 'Как в списке',
  all: 'Все',
  direct: 'Скачать',
  directHint: 'Начинается сразу. Лучше до 250 000 строк.',
  background: 'Подготовить в фоне',
  backgroundHint: 'Файл пишет задача; он хранится 24 часа, страницу можно закрыть.',
  rows: (count) => `Под фильтры подходит: ${count}.`,
  waiting: 'Задача ждёт исполнителя.',
  running: 'Файл записывается.',
  written: (rows) => `записано: ${rows}`,
  ready: 'Файл готов',
  failed: 'Выгрузка не удалась',
};
