// BullMQ as a peer: see ../README.md for the commands.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Queue, Worker } from "bullmq";
import IORedis from "ioredis";
import pg from "pg";

// A worker that dies does not renew its locks: as long as ours, so that rescues compare. The default is 30 s.
const LOCK_MS = 15_000;
// By default a job fails when its worker dies for the second time; a job must not be lost because 20 workers die.
const MAX_STALLED = 20;
const KEPT = { removeOnComplete: { count: 1_000 }, removeOnFail: { count: 5_000 } };

const connect = () => new IORedis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1_000);
const pause = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 200));

const commands = {
  about() {
    const { version } = JSON.parse(readFileSync("node_modules/bullmq/package.json", "utf8"));
    const settings = `lockDuration and stalledInterval ${LOCK_MS} ms, maxStalledCount ${MAX_STALLED}, the rest default`;
    console.log(JSON.stringify({ version, settings }));
  },

  prepare() {},

  async enqueue(kind, count) {
    const queue = new Queue("bench", { connection: connect(), defaultJobOptions: KEPT });
    for (let from = 0; from < count; from += 1_000) {
      const numbers = Array.from({ length: Math.min(1_000, count - from) }, (_, index) => from + index);
      await queue.addBulk(numbers.map((number) => ({ name: kind, data: { number } })));
    }
    process.exit();
  },

  async enqueuer() {
    const queue = new Queue("bench", { connection: connect(), defaultJobOptions: KEPT });
    for await (const _ of createInterface({ input: process.stdin })) queue.add("timed", { number: now() });
  },

  worker() {
    const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 });
    const handlers = {
      "no-op": async () => {},
      timed: async (number) => console.log(`started ${number} ${now()}`),
      async effect(number) {
        await pool.query("INSERT INTO starts (job, worker) VALUES ($1, $2)", [number, process.env.PSP_BENCH_WORKER]);
        if (number % 2 === 0) await pause();
        await pool.query("INSERT INTO effects (job) VALUES ($1)", [number]);
        if (number % 2 === 1) await pause();
      },
    };
    new Worker("bench", (job) => handlers[job.name](job.data.number), {
      connection: connect(),
      concurrency: 8,
      lockDuration: LOCK_MS,
      stalledInterval: LOCK_MS,
      maxStalledCount: MAX_STALLED,
    });
  },
};

const [command, ...args] = process.argv.slice(2);
await commands[command](...args);
