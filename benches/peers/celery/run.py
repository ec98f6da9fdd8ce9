"""Celery with Redis as a peer: see ../README.md for the commands."""

import json
import os
import random
import sys
import time
from importlib.metadata import version

import psycopg
from celery import Celery

# Redis delivers a job again when it was not acknowledged for so long: as long as our lease, so that rescues compare. The
# default is an hour. With a short timeout, Celery's documentation recommends to look for such jobs more often.
VISIBILITY_TIMEOUT = 15

app = Celery("bench", broker=os.environ.get("REDIS_URL", "redis://"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    },
)
connection = None


def now() -> int:
    return time.time_ns() // 1_000


def execute(statement, *values):
    global connection
    if connection is None:
        connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    connection.execute(statement, values)


@app.task(name="no-op")
def no_op(number):
    pass


@app.task(name="timed")
def timed(number):
    started_at = now()
    # Celery turns what a task prints into log lines.
    os.write(1, f"started {number} {started_at}\n".encode())


@app.task(name="effect")
def effect(number):
    execute(
        "INSERT INTO starts (job, worker) VALUES (%s, %s)",
        number,
        int(os.environ["PSP_BENCH_WORKER"]),
    )
    if number % 2 == 0:
        time.sleep(random.uniform(0, 0.2))
    execute("INSERT INTO effects (job) VALUES (%s)", number)
    if number % 2 == 1:
        time.sleep(random.uniform(0, 0.2))


def enqueue(kind, count):
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(count):
            app.tasks[kind].apply_async((number,), producer=producer)


def enqueuer():
    for _ in sys.stdin:
        timed.delay(now())


def main(command, *args):
    match command:
        case "about":
            settings = (
                "8 processes, task_acks_late, task_reject_on_worker_lost, no results, "
                f"visibility_timeout {VISIBILITY_TIMEOUT} s checked every 5 s, the rest default"
            )
            print(json.dumps({"version": version("celery"), "settings": settings}))
        case "prepare":
            pass
        case "enqueue":
            enqueue(args[0], int(args[1]))
        case "enqueuer":
            enqueuer()
        case "worker":
            # Workers on one machine need names of their own.
            name = f"worker-{os.environ['PSP_BENCH_WORKER']}@bench"
            app.worker_main(
                [
                    "worker",
                    "--concurrency",
                    "8",
                    "--loglevel",
                    "WARNING",
                    "--hostname",
                    name,
                ]
            )


main(*sys.argv[1:])
