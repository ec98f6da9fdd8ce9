"""Metrics: sums over the payments of a period, which PostgreSQL computes for each request.

Amounts in different currencies are never added: they are null, next to the sum in US
dollars.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from models import Session, Transaction
from parameters import Filter, Granularity, Source, Status, TrendsQuery
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Row, func, select

router = APIRouter(prefix="/metrics")

CENT = Decimal("0.01")
FIXED = {
    Granularity.MINUTE: timedelta(minutes=1),
    Granularity.FIVE_MINUTES: timedelta(minutes=5),
    Granularity.QUARTER: timedelta(minutes=15),
    Granularity.HOUR: timedelta(hours=1),
}


class Period(BaseModel):
    from_date: Annotated[date, Field(serialization_alias="from")]
    to_date: Annotated[date, Field(serialization_alias="to")]
    timezone: str


class Share(BaseModel):
    count: int = 0
    amount: Decimal | None = Decimal(0)
    amount_usd: Decimal = Decimal(0)


class Overview(BaseModel):
    period: Period
    total_count: int
    total_amount: Decimal | None
    total_amount_usd: Decimal
    total_fee: Decimal | None
    total_fee_usd: Decimal
    usd_missing_count: int
    currency: str | None
    display_currency: str = "USD"
    by_status: dict[Status, Share]
    by_source: dict[Source, Share]
    conversion_rate: float | None
    avg_ticket: Decimal | None
    avg_ticket_usd: Decimal | None
    count_change_percent: float | None
    amount_change_percent: float | None


class ProjectMetrics(BaseModel):
    project: str | None
    currency: str | None
    total_count: int
    total_amount: Decimal | None
    total_amount_usd: Decimal
    success_count: int
    success_amount: Decimal | None
    success_amount_usd: Decimal
    failed_count: int
    failed_amount: Decimal | None
    failed_amount_usd: Decimal
    pending_count: int
    usd_missing_count: int
    conversion_rate: float | None
    avg_ticket: Decimal | None


class ByProject(BaseModel):
    period: Period
    projects: list[ProjectMetrics]


class Bucket(BaseModel):
    timestamp: datetime
    count: int = 0
    amount: Decimal | None = Decimal(0)
    amount_usd: Decimal = Decimal(0)
    success_count: int = 0
    failed_count: int = 0
    pending_count: int = 0
    conversion_rate: float | None = None


class Trends(BaseModel):
    period: Period
    granularity: Granularity
    currency: str | None
    data: list[Bucket]


@router.get("/overview")
async def get_overview(query: Annotated[Filter, Query()], session: Session) -> Overview:
    first, last = query.days()
    length = last - first + timedelta(days=1)
    conditions = query.conditions()
    statement = (
        select(Transaction.source, Transaction.status, *sums(), *fees())
        .where(*conditions, *query.created(first, last))
        .group_by(Transaction.source, Transaction.status)
    )
    rows = (await session.execute(statement)).all()
    previous = select(*sums()).where(
        *conditions, *query.created(first - length, first - timedelta(days=1))
    )
    before = (await session.execute(previous)).one()
    return overview(period_of(query), rows, before)


@router.get("/by-project")
async def get_by_project(
    query: Annotated[Filter, Query()], session: Session
) -> ByProject:
    statement = (
        select(Transaction.project, *sums(), *sums_by_status())
        .where(*query.conditions(), *query.created(*query.days()))
        .group_by(Transaction.project)
    )
    rows = (await session.execute(statement)).all()
    is_converted = currency_of(rows) is None
    rows = sorted(
        rows,
        key=lambda row: row.amount_usd if is_converted else row.amount,
        reverse=True,
    )
    return ByProject(period=period_of(query), projects=[project(row) for row in rows])


@router.get("/trends")
async def get_trends(
    query: Annotated[TrendsQuery, Query()], session: Session
) -> Trends:
    first, last = query.days()
    statement = (
        select(bucket_column(query).label("bucket"), *sums(), *sums_by_status())
        .where(*query.conditions(), *query.created(first, last))
        .group_by("bucket")
    )
    rows = (await session.execute(statement)).all()
    currency = currency_of(rows)
    buckets = {row.bucket: bucket(row, bool(currency)) for row in rows}
    empty = Decimal(0) if currency or not rows else None
    data = [
        buckets.get(start) or Bucket(timestamp=start, amount=empty)
        for start in bucket_starts(query)
    ]
    return Trends(
        period=period_of(query),
        granularity=query.granularity,
        currency=currency,
        data=data,
    )


def sums() -> list[ColumnElement]:
    return [
        func.count().label("count"),
        func.coalesce(func.sum(Transaction.amount), 0).label("amount"),
        func.coalesce(func.sum(Transaction.amount_usd), 0).label("amount_usd"),
        func.count(Transaction.amount_usd).label("valued"),
        func.min(Transaction.currency).label("first_currency"),
        func.max(Transaction.currency).label("last_currency"),
    ]


def fees() -> list[ColumnElement]:
    return [
        func.coalesce(func.sum(Transaction.fee), 0).label("fee"),
        func.coalesce(func.sum(Transaction.fee_usd), 0).label("fee_usd"),
    ]


def sums_by_status() -> list[ColumnElement]:
    is_pending = Transaction.status.in_([Status.PENDING, Status.PROCESSING])
    columns = [func.count().filter(is_pending).label("pending_count")]
    for status in (Status.SUCCESS, Status.FAILED):
        has_status = Transaction.status == status
        amount = func.sum(Transaction.amount).filter(has_status)
        amount_usd = func.sum(Transaction.amount_usd).filter(has_status)
        columns += [
            func.count().filter(has_status).label(f"{status}_count"),
            func.coalesce(amount, 0).label(f"{status}_amount"),
            func.coalesce(amount_usd, 0).label(f"{status}_amount_usd"),
        ]
    return columns


def currency_of(rows: Sequence[Row]) -> str | None:
    """The currency of all payments; None if there are several, or no payments."""
    currencies = {row.first_currency for row in rows if row.count}
    currencies |= {row.last_currency for row in rows if row.count}
    return currencies.pop() if len(currencies) == 1 else None


def may_be_added(rows: Sequence[Row]) -> bool:
    return currency_of(rows) is not None or not any(row.count for row in rows)


def total(rows: Sequence[Row], name: str) -> Decimal | int:
    return sum((getattr(row, name) for row in rows), start=0)


def share(rows: Sequence[Row], is_one_currency: bool) -> Share:
    return Share(
        count=total(rows, "count"),
        amount=total(rows, "amount") if is_one_currency else None,
        amount_usd=total(rows, "amount_usd"),
    )


def overview(period: Period, rows: Sequence[Row], before: Row) -> Overview:
    count, valued = total(rows, "count"), total(rows, "valued")
    amount, amount_usd = total(rows, "amount"), total(rows, "amount_usd")
    success = [row for row in rows if row.status == Status.SUCCESS]
    is_one_currency = may_be_added(rows)
    if may_be_added([*rows, before]):
        change = percent(amount - before.amount, before.amount)
    else:
        change = percent(amount_usd - before.amount_usd, before.amount_usd)
    return Overview(
        period=period,
        total_count=count,
        total_amount=amount if is_one_currency else None,
        total_amount_usd=amount_usd,
        total_fee=total(rows, "fee") if is_one_currency else None,
        total_fee_usd=total(rows, "fee_usd"),
        usd_missing_count=count - valued,
        currency=currency_of(rows),
        by_status={
            status: share(
                [row for row in rows if row.status == status], is_one_currency
            )
            for status in Status
        },
        by_source={
            source: share(
                [row for row in rows if row.source == source], is_one_currency
            )
            for source in Source
        },
        conversion_rate=percent(total(success, "count"), count),
        avg_ticket=average(amount, count) if is_one_currency else None,
        avg_ticket_usd=average(amount_usd, valued),
        count_change_percent=percent(count - before.count, before.count),
        amount_change_percent=change,
    )


def project(row: Row) -> ProjectMetrics:
    is_one_currency = may_be_added([row])
    return ProjectMetrics(
        project=row.project,
        currency=currency_of([row]),
        total_count=row.count,
        total_amount=row.amount if is_one_currency else None,
        total_amount_usd=row.amount_usd,
        success_count=row.success_count,
        success_amount=row.success_amount if is_one_currency else None,
        success_amount_usd=row.success_amount_usd,
        failed_count=row.failed_count,
        failed_amount=row.failed_amount if is_one_currency else None,
        failed_amount_usd=row.failed_amount_usd,
        pending_count=row.pending_count,
        usd_missing_count=row.count - row.valued,
        conversion_rate=percent(row.success_count, row.count),
        avg_ticket=average(row.amount, row.count) if is_one_currency else None,
    )


def bucket(row: Row, is_one_currency: bool) -> Bucket:
    return Bucket(
        timestamp=row.bucket,
        count=row.count,
        amount=row.amount if is_one_currency else None,
        amount_usd=row.amount_usd,
        success_count=row.success_count,
        failed_count=row.failed_count,
        pending_count=row.pending_count,
        conversion_rate=percent(row.success_count, row.count),
    )


def bucket_column(query: TrendsQuery) -> ColumnElement[datetime]:
    length = FIXED.get(query.granularity)
    if length is None:
        unit = query.granularity.value
        return func.date_trunc(unit, Transaction.created_at, query.timezone)
    first, _ = query.days()
    return func.date_bin(length, Transaction.created_at, query.start_of(first))


def bucket_starts(query: TrendsQuery) -> list[datetime]:
    first, last = query.days()
    length = FIXED.get(query.granularity)
    if length is not None:
        start, end = query.start_of(first), query.start_of(last + timedelta(days=1))
        return [start + index * length for index in range(-(-(end - start) // length))]
    days = [first + timedelta(days=day) for day in range((last - first).days + 1)]
    starts = {day_of_bucket(day, query.granularity): None for day in days}
    return [query.start_of(day) for day in starts]


def day_of_bucket(day: date, granularity: Granularity) -> date:
    match granularity:
        case Granularity.WEEK:
            return day - timedelta(days=day.weekday())
        case Granularity.MONTH:
            return day.replace(day=1)
        case _:
            return day


def period_of(query: Filter) -> Period:
    first, last = query.days()
    return Period(from_date=first, to_date=last, timezone=query.timezone)


def average(amount: Decimal, count: int) -> Decimal | None:
    return rounded(Decimal(amount) / count) if count else None


def percent(part: Decimal | int, whole: Decimal | int) -> float | None:
    return float(rounded(100 * Decimal(part) / abs(whole))) if whole else None


def rounded(value: Decimal) -> Decimal:
    return value.quantize(CENT, rounding=ROUND_HALF_UP)
