import { mount } from 'svelte';
import './ui/tokens.css';
import './ui/base.css';
import './ui/print.css';
import { loadSession } from './api/session.svelte';
import { startClock } from './lib/clock.svelte';
import { applyTheme } from './lib/preferences.svelte';
import { listenToHistory } from './lib/router.svelte';
import { loadMessages } from './messages/index.svelte';
import App from './shell/App.svelte';
import { followColors } from './ui/charts/colors';
import { copyExactAmounts } from './ui/copy';

applyTheme();
followColors();
listenToHistory();
startClock();
copyExactAmounts();
await Promise.all([loadMessages(), loadSession()]);

const target = document.getElementById('app');
if (target) mount(App, { target });
