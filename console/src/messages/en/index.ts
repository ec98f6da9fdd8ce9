import { common } from './common';
import { exporting } from './export';
import { inbox } from './inbox';
import { overview } from './overview';
import { payments } from './payments';
import { reconciliation } from './reconciliation';
import { shell } from './shell';

export const messages = { common, exporting, inbox, overview, payments, reconciliation, shell };
