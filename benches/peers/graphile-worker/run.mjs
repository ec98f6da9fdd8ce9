// graphile-worker as a peer: see ../README.md for the commands. PSP_BENCH_VARIANT=batched adds its two options that trade
// latency, and more repeated jobs after a crash, for throughput, as its page on performance recommends to begin with.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

const BATCHED = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
const variant = process.env.PSP_BENCH_VARIANT === "batched" ? BATCHED : {};

const connectionString = process.env.DATABASE_URL;
// It logs every job by default, which costs throughput.
const logger = new Logger(() => (level, message) => {
  if (level === "error") console.error(message);
});
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1_000);
const pause = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 200));

const commands = {
  about() {
    const { version } = JSON.parse(readFileSync("node_modules/graphile-worker/package.json", "utf8"));
    const options = variant === BATCHED ? "localQueue of 500, completes jobs in batches, the rest default" : "defaults";
    const settings = `${options}; it runs jobs of a dead worker again after 4 hours`;
    console.log(JSON.stringify({ version, settings }));
  },

  async prepare() {
    const utils = await makeWorkerUtils({ connectionString, logger });
    await utils.migrate();
    await utils.release();
  },

  async enqueue(kind, count) {
    const utils = await makeWorkerUtils({ connectionString, logger });
    for (let from = 0; from < count; from += 1_000) {
      const numbers = Array.from({ length: Math.min(1_000, count - from) }, (_, index) => from + index);
      await utils.addJobs(numbers.map((number) => ({ identifier: kind, payload: { number } })));
    }
    await utils.release();
  },

  async enqueuer() {
    const utils = await makeWorkerUtils({ connectionString, logger });
    for await (const _ of createInterface({ input: process.stdin })) utils.addJob("timed", { number: now() });
  },

  async worker() {
    const pool = new pg.Pool({ connectionString, max: 8 });
    const taskList = {
      "no-op": async () => {},
      timed: async ({ number }) => console.log(`started ${number} ${now()}`),
      async effect({ number }) {
        await pool.query("INSERT INTO starts (job, worker) VALUES ($1, $2)", [number, process.env.PSP_BENCH_WORKER]);
        if (number % 2 === 0) await pause();
        await pool.query("INSERT INTO effects (job) VALUES ($1)", [number]);
        if (number % 2 === 1) await pause();
      },
    };
    await run({ taskList, preset: { worker: { connectionString, logger, concurrentJobs: 8, ...variant } } });
  },
};

const [command, ...args] = process.argv.slice(2);
await commands[command](...args);
