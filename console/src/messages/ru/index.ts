import type { Messages } from '../index.svelte';
import { common } from './common';
import { exporting } from './export';
import { inbox } from './inbox';
import { overview } from './overview';
import { payments } from './payments';
import { shell } from './shell';

export const messages: Messages = { common, exporting, inbox, overview, payments, shell };
