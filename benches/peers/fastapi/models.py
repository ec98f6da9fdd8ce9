"""The tables: payments, which syncs store, and what reconciliations find.

`transactions` has the indexes of the migrations of this repository. The other two
belong to this service alone; `python models.py` creates them.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, ClassVar
from uuid import UUID

from fastapi import Depends
from sqlalchemy import ForeignKey, Numeric, Text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["DATABASE_URL"])
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def open_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]


class Base(DeclarativeBase):
    type_annotation_map: ClassVar = {
        str: Text,
        Decimal: Numeric,
        datetime: TIMESTAMP(timezone=True),
        list[str]: ARRAY(Text),
    }


class Transaction(Base):
    __tablename__ = "transactions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str]
    kind: Mapped[str]
    source_id: Mapped[str]
    reference_id: Mapped[str | None]
    client_operation_id: Mapped[str | None]
    order_id: Mapped[str | None]
    project: Mapped[str | None]
    merchant_id: Mapped[str | None]
    amount: Mapped[Decimal]
    paid_amount: Mapped[Decimal | None]
    currency: Mapped[str]
    amount_usd: Mapped[Decimal | None]
    fee: Mapped[Decimal | None]
    fee_usd: Mapped[Decimal | None]
    exchange_rate: Mapped[Decimal | None]
    status: Mapped[str]
    original_status: Mapped[str | None]
    user_id: Mapped[str | None]
    user_email: Mapped[str | None]
    user_phone: Mapped[str | None]
    user_name: Mapped[str | None]
    country: Mapped[str | None]
    utr: Mapped[str | None]
    payment_method: Mapped[str | None]
    payment_product: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    ingested_at: Mapped[datetime]


class ReconciliationRun(Base):
    __tablename__ = "fastapi_reconciliation_runs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    recon_date: Mapped[date] = mapped_column(index=True)
    status: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    matched: Mapped[int] = mapped_column(default=0)
    amount_discrepancies: Mapped[int] = mapped_column(default=0)
    status_discrepancies: Mapped[int] = mapped_column(default=0)
    missing_vima: Mapped[int] = mapped_column(default=0)
    missing_payshack: Mapped[int] = mapped_column(default=0)
    pending: Mapped[int] = mapped_column(default=0)
    duplicates: Mapped[int] = mapped_column(default=0)
    unmatchable: Mapped[int] = mapped_column(default=0)


class ReconciliationResult(Base):
    """Everything that is not simply matched."""

    __tablename__ = "fastapi_reconciliation_results"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(
        ForeignKey(ReconciliationRun.id, ondelete="CASCADE"), index=True
    )
    key: Mapped[str | None]
    match_status: Mapped[str]
    types: Mapped[list[str]]
    vima_txn_id: Mapped[UUID | None]
    payshack_txn_id: Mapped[UUID | None]
    vima_amount: Mapped[Decimal | None]
    payshack_amount: Mapped[Decimal | None]
    vima_status: Mapped[str | None]
    payshack_status: Mapped[str | None]


async def create_tables() -> None:
    own = [ReconciliationRun.__table__, ReconciliationResult.__table__]
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all, tables=own)


if __name__ == "__main__":
    asyncio.run(create_tables())
