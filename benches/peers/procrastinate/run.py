"""Procrastinate as a peer: see ../README.md for the commands."""

import asyncio
import json
import os
import random
import sys
import time
from importlib.metadata import version

import procrastinate
from psycopg_pool import AsyncConnectionPool

# A worker without a heartbeat for so long is dead: as long as our lease, so that rescues compare. The default is 30 s.
STALLED_SECONDS = 15
DATABASE_URL = os.environ.get("DATABASE_URL", "")

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=DATABASE_URL))
pool = AsyncConnectionPool(
    DATABASE_URL, min_size=1, max_size=8, open=False, kwargs={"autocommit": True}
)


def now() -> int:
    return time.time_ns() // 1_000


async def execute(statement, *values):
    async with pool.connection() as connection:
        await connection.execute(statement, values)


@app.task(name="no-op")
async def no_op(number):
    pass


@app.task(name="timed")
async def timed(number):
    started_at = now()
    print(f"started {number} {started_at}", flush=True)


@app.task(name="effect")
async def effect(number):
    await execute(
        "INSERT INTO starts (job, worker) VALUES (%s, %s)",
        number,
        int(os.environ["PSP_BENCH_WORKER"]),
    )
    if number % 2 == 0:
        await asyncio.sleep(random.uniform(0, 0.2))
    await execute("INSERT INTO effects (job) VALUES (%s)", number)
    if number % 2 == 1:
        await asyncio.sleep(random.uniform(0, 0.2))


# The task of its documentation, every 5 s instead of 10 minutes.
@app.periodic(cron="* * * * * */5")
@app.task(
    name="retry-stalled-jobs", queueing_lock="retry-stalled-jobs", pass_context=True
)
async def retry_stalled_jobs(context, timestamp):
    for job in await app.job_manager.get_stalled_jobs(
        seconds_since_heartbeat=STALLED_SECONDS
    ):
        await app.job_manager.retry_job(job)


async def prepare():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def enqueue(kind, count):
    async with app.open_async():
        for start in range(0, count, 1_000):
            jobs = [
                {"number": number} for number in range(start, min(start + 1_000, count))
            ]
            await app.tasks[kind].batch_defer_async(*jobs)


async def enqueuer():
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    sending = set()
    async with app.open_async():
        while await lines.readline():
            task = asyncio.create_task(timed.defer_async(number=now()))
            sending.add(task)
            task.add_done_callback(sending.discard)


async def worker():
    async with pool, app.open_async():
        await app.run_worker_async(
            concurrency=8,
            update_heartbeat_interval=STALLED_SECONDS / 3,
            stalled_worker_timeout=STALLED_SECONDS,
        )


def main(command, *args):
    match command:
        case "about":
            settings = (
                f"concurrency 8, stalled_worker_timeout {STALLED_SECONDS} s, "
                "retry_stalled_jobs every 5 s, the rest default"
            )
            print(
                json.dumps({"version": version("procrastinate"), "settings": settings})
            )
        case "prepare":
            asyncio.run(prepare())
        case "enqueue":
            asyncio.run(enqueue(args[0], int(args[1])))
        case "enqueuer":
            asyncio.run(enqueuer())
        case "worker":
            asyncio.run(worker())


main(*sys.argv[1:])
