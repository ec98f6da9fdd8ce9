"""The query parameters, and the conditions that they mean."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

from models import Transaction
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from sqlalchemy import ColumnElement, func

LAST_DAYS = 7


class Source(StrEnum):
    VIMA = "vima"
    PAYSHACK = "payshack"


class Kind(StrEnum):
    PAYIN = "payin"
    PAYOUT = "payout"


class Status(StrEnum):
    SUCCESS = "success"
    FAILED = "failed"
    PENDING = "pending"
    PROCESSING = "processing"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"


class SortBy(StrEnum):
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    AMOUNT = "amount"


class Order(StrEnum):
    ASC = "asc"
    DESC = "desc"


class Granularity(StrEnum):
    MINUTE = "minute"
    FIVE_MINUTES = "5min"
    QUARTER = "15min"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def split(values: list[str]) -> list[str]:
    return [value for text in values for value in text.split(",")]


def known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError("the time zone is unknown: use an IANA name") from error
    return name


T = TypeVar("T")
Several = Annotated[list[T], BeforeValidator(split)]


class Filter(BaseModel):
    """The filters of the metrics, which lists and exports have as well."""

    source: Several[Source] = []
    kind: Several[Kind] = []
    project: Several[str] = []
    status: Several[Status] = []
    currency: Several[str] = []
    from_date: date | None = None
    to_date: date | None = None
    timezone: Annotated[str, AfterValidator(known_zone)] = "UTC"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def start_of(self, day: date) -> datetime:
        return datetime.combine(day, time.min, self.zone).astimezone(UTC)

    def values(self) -> dict[str, list]:
        names = ("source", "kind", "project", "status", "currency")
        return {name: getattr(self, name) for name in names}

    def conditions(self) -> list[ColumnElement[bool]]:
        """Everything but the dates."""
        return [
            getattr(Transaction, name).in_(values)
            for name, values in self.values().items()
            if values
        ]

    def days(self) -> tuple[date, date]:
        """Without dates, today and the six days before."""
        to_date = self.to_date or datetime.now(self.zone).date()
        return self.from_date or to_date - timedelta(days=LAST_DAYS - 1), to_date

    def created(self, first: date, last: date) -> list[ColumnElement[bool]]:
        return [
            Transaction.created_at >= self.start_of(first),
            Transaction.created_at < self.start_of(last + timedelta(days=1)),
        ]


class TrendsQuery(Filter):
    granularity: Granularity = Granularity.HOUR


class TransactionFilter(Filter):
    country: Several[str] = []
    payment_method: Several[str] = []
    merchant_id: Several[str] = []
    min_amount: Decimal | None = None
    max_amount: Decimal | None = None
    sort_by: SortBy = SortBy.CREATED_AT
    order: Order = Order.DESC

    def values(self) -> dict[str, list]:
        names = ("country", "payment_method", "merchant_id")
        return super().values() | {name: getattr(self, name) for name in names}

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions = super().conditions()
        if self.from_date:
            start = self.start_of(self.from_date)
            conditions.append(Transaction.created_at >= start)
        if self.to_date:
            end = self.start_of(self.to_date + timedelta(days=1))
            conditions.append(Transaction.created_at < end)
        if self.min_amount is not None:
            conditions.append(Transaction.amount >= self.min_amount)
        if self.max_amount is not None:
            conditions.append(Transaction.amount <= self.max_amount)
        return conditions

    def ordering(self) -> list[ColumnElement]:
        changed_at = func.coalesce(Transaction.updated_at, Transaction.created_at)
        column = {
            SortBy.CREATED_AT: Transaction.created_at,
            SortBy.UPDATED_AT: changed_at,
            SortBy.AMOUNT: Transaction.amount,
        }[self.sort_by]
        columns = [column, Transaction.id]
        if self.order == Order.DESC:
            return [column.desc() for column in columns]
        return [column.asc() for column in columns]


class PageQuery(TransactionFilter):
    page: Annotated[int, Field(ge=1)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class ExportQuery(TransactionFilter):
    columns: Several[str] = []
