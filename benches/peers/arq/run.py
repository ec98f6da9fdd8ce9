"""arq as a peer: see ../README.md for the commands."""

import asyncio
import json
import os
import random
import sys
import time
from importlib.metadata import version

import asyncpg
from arq import create_pool, func, run_worker
from arq.connections import RedisSettings

# A job runs again when its timeout and 10 s more have passed since its worker died; arq renews nothing. The timeout is as
# long as our lease, so that rescues compare. The default is 300 s.
JOB_TIMEOUT = 15
# By default a job fails when its worker dies for the fifth time; a job must not be lost because 20 workers die.
MAX_TRIES = 20
REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://"))


def now() -> int:
    return time.time_ns() // 1_000


async def no_op(context, number):
    pass


async def timed(context, number):
    started_at = now()
    print(f"started {number} {started_at}", flush=True)


async def effect(context, number):
    pool = context["pool"]
    await pool.execute(
        "INSERT INTO starts (job, worker) VALUES ($1, $2)",
        number,
        int(os.environ["PSP_BENCH_WORKER"]),
    )
    if number % 2 == 0:
        await asyncio.sleep(random.uniform(0, 0.2))
    await pool.execute("INSERT INTO effects (job) VALUES ($1)", number)
    if number % 2 == 1:
        await asyncio.sleep(random.uniform(0, 0.2))


async def connect_to_postgres(context):
    context["pool"] = await asyncpg.create_pool(
        os.environ["DATABASE_URL"], min_size=1, max_size=8
    )


class WorkerSettings:
    functions = (func(no_op, name="no-op"), timed, effect)
    redis_settings = REDIS
    on_startup = connect_to_postgres
    max_jobs = 8
    job_timeout = JOB_TIMEOUT
    max_tries = MAX_TRIES


async def enqueue(kind, count):
    queue = await create_pool(REDIS)
    for start in range(0, count, 50):
        await asyncio.gather(
            *(
                queue.enqueue_job(kind, number)
                for number in range(start, min(start + 50, count))
            )
        )


async def enqueuer():
    queue = await create_pool(REDIS)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    sending = set()
    while await lines.readline():
        task = asyncio.create_task(queue.enqueue_job("timed", now()))
        sending.add(task)
        task.add_done_callback(sending.discard)


def main(command, *args):
    match command:
        case "about":
            settings = f"max_jobs 8, job_timeout {JOB_TIMEOUT} s, max_tries {MAX_TRIES}, the rest default"
            print(json.dumps({"version": version("arq"), "settings": settings}))
        case "prepare":
            pass
        case "enqueue":
            asyncio.run(enqueue(args[0], int(args[1])))
        case "enqueuer":
            asyncio.run(enqueuer())
        case "worker":
            # arq takes the current loop, which Python no longer creates by itself.
            asyncio.set_event_loop(asyncio.new_event_loop())
            run_worker(WorkerSettings)


main(*sys.argv[1:])
