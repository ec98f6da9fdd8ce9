import { common } from './common';
import { exporting } from './export';
import { inbox } from './inbox';
import { overview } from './overview';
import { payments } from './payments';
import { shell } from './shell';

export const messages = { common, exporting, inbox, overview, payments, shell };
