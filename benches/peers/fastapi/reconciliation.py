"""Reconciles a day: loads both sides, matches them in Python, stores what does not match.

A run is a background task of the web process that was asked for it.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query
from matching import COUNTED, ByKey, Findings, by_key, match
from models import (
    ReconciliationResult,
    ReconciliationRun,
    Session,
    Transaction,
    sessions,
)
from parameters import Kind, Source
from pydantic import BaseModel
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.concurrency import run_in_threadpool

router = APIRouter(prefix="/reconciliation")

DAY = timedelta(days=1)
# How far apart the payments of a pair may be.
WINDOW = timedelta(hours=24)
KEYS_AT_ONCE = 5_000

KEYS = {
    Source.VIMA: Transaction.client_operation_id,
    Source.PAYSHACK: Transaction.order_id,
}


class RunRequest(BaseModel):
    date: date


class StartedRun(BaseModel):
    run_id: uuid.UUID
    date: date
    status: str = "started"


class Count(BaseModel):
    count: int


class DiscrepanciesByType(BaseModel):
    amount: int
    status: int


class Discrepancies(Count):
    by_type: DiscrepanciesByType


class Missing(Count):
    missing_vima: int
    missing_payshack: int


class Summary(BaseModel):
    date: date
    run_id: uuid.UUID
    status: str
    started_at: datetime
    finished_at: datetime | None
    total_transactions: int
    matched: Count
    discrepancies: Discrepancies
    missing: Missing
    pending: Count
    duplicates: Count
    unmatchable: Count


@router.post("/run", status_code=202)
async def start_run(
    request: RunRequest, session: Session, tasks: BackgroundTasks
) -> StartedRun:
    run = ReconciliationRun(
        id=uuid.uuid4(),
        recon_date=request.date,
        status="running",
        started_at=datetime.now(UTC),
    )
    session.add(run)
    await session.commit()
    tasks.add_task(run_reconciliation, run.id, run.recon_date)
    return StartedRun(run_id=run.id, date=run.recon_date)


@router.get("/summary")
async def get_summary(
    day: Annotated[date, Query(alias="date")], session: Session
) -> Summary | None:
    statement = (
        select(ReconciliationRun)
        .where(ReconciliationRun.recon_date == day)
        .order_by(ReconciliationRun.started_at.desc())
        .limit(1)
    )
    run = await session.scalar(statement)
    return run and summary(run)


async def run_reconciliation(run_id: uuid.UUID, day: date) -> None:
    this_run = update(ReconciliationRun).where(ReconciliationRun.id == run_id)
    try:
        async with sessions.begin() as session:
            findings = await reconcile(session, day)
            if findings.results:
                rows = [{"run_id": run_id, **result} for result in findings.results]
                await session.execute(insert(ReconciliationResult), rows)
            values = {"status": "completed", "finished_at": datetime.now(UTC)}
            counts = {name: findings.counts[name] for name in COUNTED}
            await session.execute(this_run.values(**values, **counts))
    except Exception:
        async with sessions.begin() as session:
            await session.execute(this_run.values(status="failed"))
        raise


async def reconcile(session: AsyncSession, day: date) -> Findings:
    start = datetime.combine(day, time.min, UTC)
    end = start + DAY
    vima = await load_day(session, Source.VIMA, start, end)
    payshack = await load_day(session, Source.PAYSHACK, start, end)
    sides = {Source.VIMA: by_key(vima), Source.PAYSHACK: by_key(payshack)}
    # A pair may be split by midnight, and belongs to the day of its Vima payment.
    lonely = sides[Source.VIMA].keys() - sides[Source.PAYSHACK].keys()
    partners = await load_partners(session, Source.PAYSHACK, lonely, start)
    sides[Source.PAYSHACK] |= partners
    lonely = sides[Source.PAYSHACK].keys() - sides[Source.VIMA].keys()
    for key in await load_partners(session, Source.VIMA, lonely, start):
        del sides[Source.PAYSHACK][key]
    findings = await run_in_threadpool(
        match, sides[Source.VIMA], sides[Source.PAYSHACK], datetime.now(UTC)
    )
    unmatchable = sum(not (row.key and row.key.strip()) for row in [*vima, *payshack])
    findings.counts["unmatchable"] = unmatchable
    return findings


def rows_of(source: Source, start: datetime, end: datetime):
    columns = (
        Transaction.id,
        KEYS[source].label("key"),
        Transaction.source_id,
        Transaction.amount,
        Transaction.paid_amount,
        Transaction.currency,
        Transaction.status,
        Transaction.created_at,
        Transaction.updated_at,
    )
    return select(*columns).where(
        Transaction.source == source,
        Transaction.kind == Kind.PAYIN,
        Transaction.created_at >= start,
        Transaction.created_at < end,
    )


async def load_day(
    session: AsyncSession, source: Source, start: datetime, end: datetime
) -> Sequence[Row]:
    return (await session.execute(rows_of(source, start, end))).all()


async def load_partners(
    session: AsyncSession, source: Source, keys: Iterable[str], start: datetime
) -> ByKey:
    """The payments around the day that have one of these keys."""
    keys, found = list(keys), []
    around = rows_of(source, start - WINDOW, start + DAY + WINDOW)
    for first in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[first : first + KEYS_AT_ONCE]
        found += (await session.execute(around.where(KEYS[source].in_(some)))).all()
    return by_key(found)


def summary(run: ReconciliationRun) -> Summary:
    discrepancies = run.amount_discrepancies + run.status_discrepancies
    missing = run.missing_vima + run.missing_payshack
    return Summary(
        date=run.recon_date,
        run_id=run.id,
        status=run.status,
        started_at=run.started_at,
        finished_at=run.finished_at,
        total_transactions=run.matched + discrepancies + missing + run.pending,
        matched=Count(count=run.matched),
        discrepancies=Discrepancies(
            count=discrepancies,
            by_type=DiscrepanciesByType(
                amount=run.amount_discrepancies, status=run.status_discrepancies
            ),
        ),
        missing=Missing(
            count=missing,
            missing_vima=run.missing_vima,
            missing_payshack=run.missing_payshack,
        ),
        pending=Count(count=run.pending),
        duplicates=Count(count=run.duplicates),
        unmatchable=Count(count=run.unmatchable),
    )
