import { common } from './common';
import { exporting } from './export';
import { payments } from './payments';
import { shell } from './shell';

export const messages = { common, exporting, payments, shell };
