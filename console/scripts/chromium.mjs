// The system's Chromium, for the tests in a browser and the measurements: never a download. `CHROMIUM` names another program.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export function launch() {
  const executablePath = process.env['CHROMIUM'] ?? PROGRAMS.find((program) => existsSync(program));
  if (!executablePath) throw new Error('no Chromium found: install it with scripts/setup --browser, or set CHROMIUM');
  // Without a sandbox of its own where it runs as root, as in a container.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}
