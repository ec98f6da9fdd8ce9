import type { Messages } from '../index.svelte';
import { common } from './common';
import { exporting } from './export';
import { inbox } from './inbox';
import { overview } from './overview';
import { payments } from './payments';
import { reconciliation } from './reconciliation';
import { shell } from './shell';

export const messages: Messages = { common, exporting, inbox, overview, payments, reconciliation, shell };
