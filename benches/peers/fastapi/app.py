"""The service that this project replaces, as a competent team writes it.

FastAPI, SQLAlchemy (async) and asyncpg, with the same paths and parameters as ours.
"""

import csv
import io
import os
import secrets
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import metrics
import reconciliation
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Security
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyHeader
from models import Session, Transaction, sessions
from parameters import ExportQuery, PageQuery
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, func, select

API_KEY = os.environ["API_KEY"]
ROWS_AT_ONCE = 1_000


def require_key(key: Annotated[str, Security(APIKeyHeader(name="X-API-Key"))]) -> None:
    if not secrets.compare_digest(key.encode(), API_KEY.encode()):
        raise HTTPException(401, "The API key is unknown.")


router = APIRouter(prefix="/api/v1", dependencies=[Depends(require_key)])


class TransactionItem(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    source: str
    kind: str
    source_id: str
    reference_id: str | None
    client_operation_id: str | None
    order_id: str | None
    project: str | None
    merchant_id: str | None
    amount: Decimal
    paid_amount: Decimal | None
    currency: str
    amount_usd: Decimal | None
    fee: Decimal | None
    fee_usd: Decimal | None
    exchange_rate: Decimal | None
    status: str
    original_status: str | None
    user_id: str | None
    user_email: str | None
    user_phone: str | None
    user_name: str | None
    country: str | None
    utr: str | None
    payment_method: str | None
    payment_product: str | None
    created_at: datetime
    updated_at: datetime | None
    completed_at: datetime | None
    ingested_at: datetime


class TransactionPage(BaseModel):
    items: list[TransactionItem]
    total: int
    page: int
    limit: int
    pages: int


@router.get("/transactions")
async def list_transactions(
    query: Annotated[PageQuery, Query()], session: Session
) -> TransactionPage:
    conditions = query.conditions()
    counted = select(func.count()).select_from(Transaction).where(*conditions)
    total = await session.scalar(counted) or 0
    statement = (
        select(Transaction)
        .where(*conditions)
        .order_by(*query.ordering())
        .offset((query.page - 1) * query.limit)
        .limit(query.limit)
    )
    rows = await session.scalars(statement)
    return TransactionPage(
        items=rows.all(),
        total=total,
        page=query.page,
        limit=query.limit,
        pages=-(-total // query.limit),
    )


@router.get("/export/transactions")
async def export_transactions(
    query: Annotated[ExportQuery, Query()],
) -> StreamingResponse:
    names = query.columns or list(TransactionItem.model_fields)
    unknown = [name for name in names if name not in TransactionItem.model_fields]
    if unknown:
        raise HTTPException(422, f"There is no column {', '.join(unknown)}.")
    statement = (
        select(*(getattr(Transaction, name) for name in names))
        .where(*query.conditions())
        .order_by(*query.ordering())
    )
    disposition = 'attachment; filename="transactions.csv"'
    return StreamingResponse(
        write_csv(names, statement),
        media_type="text/csv",
        headers={"Content-Disposition": disposition},
    )


async def write_csv(names: list[str], statement: Select) -> AsyncIterator[str]:
    """Has a session of its own: that of a request ends before its stream does."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(names)
    async with sessions() as session:
        rows = await session.stream(statement.execution_options(yield_per=ROWS_AT_ONCE))
        async for partition in rows.partitions():
            writer.writerows([text(value) for value in row] for row in partition)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


router.include_router(metrics.router)
router.include_router(reconciliation.router)

app = FastAPI(title="PSP dashboard")
app.include_router(router)


@app.get("/health/ready")
async def check_readiness(session: Session) -> dict[str, str]:
    await session.scalar(select(1))
    return {"status": "healthy"}
