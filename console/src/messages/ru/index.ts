import type { Messages } from '../index.svelte';
import { common } from './common';
import { exporting } from './export';
import { payments } from './payments';
import { shell } from './shell';

export const messages: Messages = { common, exporting, payments, shell };
