// Measures the console in the system's Chromium for `make bench BENCH=console`, which starts this program and asks it, line by
// line; each answer is a line with a number.
//
//   open      opens the start page in a browser that has stored nothing, and answers after how many milliseconds it was usable: all
//             figures shown, no placeholder left
//   stay      opens it and leaves it open
//   watch     answers 0 as soon as it observes the open page, and then, in a second line, at which time (milliseconds since 1970) a
//             figure had changed on the screen
//   memory    collects garbage, and answers with the size of the open page's heap in bytes
import { createInterface } from 'node:readline';
import { launch } from './chromium.mjs';

const { CONSOLE_URL: url, CONSOLE_KEY: key } = process.env;
const browser = await launch();

async function newPage() {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const answer = await context.request.post(`${url}/api/v1/session`, { headers: { Authorization: `Bearer ${key}` } });
  if (answer.status() !== 201) throw new Error(`signing in: ${answer.status()} ${await answer.text()}`);
  return context.newPage();
}

async function openUsable(page) {
  await page.goto(url, { waitUntil: 'commit' });
  // In the page: asking for it from here would add round trips. The figures are the last to come.
  await page.waitForFunction(() => document.querySelectorAll('main .figure .value').length > 0 && !document.querySelector('main .skeleton'), undefined, { polling: 'raf' });
  return page.evaluate(() => performance.now());
}

async function open() {
  const page = await newPage();
  const duration = await openUsable(page);
  await page.context().close();
  return duration;
}

let stayed;
async function stay() {
  stayed = await newPage();
  return openUsable(stayed);
}

async function watch() {
  const changed = stayed.evaluate(
    () =>
      new Promise((resolve) => {
        const figures = () => [...document.querySelectorAll('main .figure .value')].map(({ textContent }) => textContent).join();
        const before = figures();
        const observer = new MutationObserver(() => {
          if (figures() === before) return;
          observer.disconnect();
          // After the frame that shows it.
          requestAnimationFrame(() => setTimeout(() => resolve(Date.now())));
        });
        observer.observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true });
      }),
  );
  await stayed.evaluate(() => undefined); // the observer is set: calls are answered in their order
  console.log(0);
  return changed;
}

async function memory() {
  const session = await stayed.context().newCDPSession(stayed);
  await session.send('HeapProfiler.collectGarbage');
  await session.send('Performance.enable');
  const { metrics } = await session.send('Performance.getMetrics');
  await session.detach();
  return metrics.find(({ name }) => name === 'JSHeapUsedSize').value;
}

const COMMANDS = { open, stay, watch, memory };
for await (const line of createInterface({ input: process.stdin })) console.log(await COMMANDS[line]());
await browser.close();
