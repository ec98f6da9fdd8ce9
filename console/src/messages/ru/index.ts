import type { Messages } from '../index.svelte';
import { admin } from './admin';
import { alerts } from './alerts';
import { common } from './common';
import { explanations } from './explanations';
import { exporting } from './export';
import { inbox } from './inbox';
import { jobs } from './jobs';
import { overview } from './overview';
import { payments } from './payments';
import { reconciliation } from './reconciliation';
import { shell } from './shell';
import { sync } from './sync';
import { webhooks } from './webhooks';

export const messages: Messages = { admin, alerts, common, explanations, exporting, inbox, jobs, overview, payments, reconciliation, shell, sync, webhooks };
