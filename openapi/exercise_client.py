"""Uses the generated Python client against a running system (see scripts/client).

The client checks every response against the OpenAPI document: it parses enums and timestamps strictly, and raises for a
status that the operation does not declare. The sandbox's payments have what the checks look for: several statuses, and
fields that are null for some payments only.
"""

import os
import time
from datetime import datetime
from uuid import UUID

from psp_client import AuthenticatedClient
from psp_client.api.export import download_export, get_export, order_export
from psp_client.api.jobs import list_jobs
from psp_client.api.metrics import get_metrics_overview
from psp_client.api.sync import get_sync_status
from psp_client.api.transactions import get_transaction, list_transactions
from psp_client.models import (
    ExportName,
    ExportRequest,
    JobState,
    Kind,
    Problem,
    ProblemCode,
    RateOrigin,
    Source,
    Status,
    Transaction,
)

DEADLINE_SECONDS = 60
NULLABLE_FIELDS = {
    "utr": str,
    "completed_at": datetime,
    "amount_usd": str,
    "exchange_rate_origin": RateOrigin,
}

# The demo runs with AUTH=off, which accepts any token.
client = AuthenticatedClient(
    base_url=os.environ["PSP_URL"], token="unused", raise_on_unexpected_status=True
)


def main() -> None:
    checks = [
        check_sync_status,
        check_transactions,
        check_overview,
        check_export,
        check_validation_problem,
    ]
    for check in checks:
        started = time.monotonic()
        check()
        print(f"client: {check.__name__}: ok ({time.monotonic() - started:.1f} s)")
    print(f"client: {len(checks)} passed, 0 failed")


def call(operation, *arguments, **query):
    """Calls an operation that is expected to succeed."""
    result = operation.sync(*arguments, client=client, **query)
    assert not isinstance(result, Problem), result
    return result


def until(description, attempt):
    """Repeats `attempt` until it returns something truthy, and returns that."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (result := attempt()):
        assert time.monotonic() < deadline, (
            f"not within {DEADLINE_SECONDS} s: {description}"
        )
        time.sleep(0.5)
    return result


def check_sync_status() -> None:
    def synced():
        sources = call(get_sync_status).sources
        assert {source.source for source in sources} == set(Source)
        return all(
            isinstance(source.last_successful_sync, datetime) and source.total_records
            for source in sources
        )

    until("both sources are synced", synced)


def check_transactions() -> None:
    transactions = list_all_transactions(pages=5)
    assert {transaction.status for transaction in transactions} == {
        Status.SUCCESS,
        Status.FAILED,
    }
    for transaction in transactions:
        assert isinstance(transaction.source, Source)
        assert isinstance(transaction.kind, Kind)
        assert isinstance(transaction.created_at, datetime)
    for name, kind in NULLABLE_FIELDS.items():
        types = {type(getattr(transaction, name)) for transaction in transactions}
        assert types <= {kind, type(None)} and kind in types, f"{name}: {types}"

    first = transactions[0]
    detail = call(get_transaction, first.id)
    assert detail.id == first.id and detail.amount == first.amount


def list_all_transactions(pages: int) -> list[Transaction]:
    transactions, cursor = [], {}
    for _ in range(pages):
        page = call(
            list_transactions,
            status=[Status.SUCCESS, Status.FAILED],
            limit=100,
            **cursor,
        )
        transactions += page.items
        if page.next_cursor is None:
            break
        cursor = {"cursor": page.next_cursor}
    assert len({transaction.id for transaction in transactions}) == len(transactions)
    return transactions


def check_overview() -> None:
    overview = call(get_metrics_overview)
    shares = [getattr(overview.by_status, status.value) for status in Status]
    assert overview.total_count == sum(share.count for share in shares)
    assert overview.currency is None or isinstance(overview.currency, str)


def check_export() -> None:
    request = ExportRequest(
        export=ExportName.TRANSACTIONS, query="format=csv&source=vima"
    )
    accepted = order_export.sync_detailed(client=client, body=request)
    assert accepted.status_code == 202 and accepted.headers["location"]
    export = until("the export is ready", lambda: find_ready_export(accepted.parsed.id))

    def job_succeeded():
        page = call(list_jobs, state=[JobState.SUCCEEDED], limit=100)
        return export.job_id in {job.id for job in page.items}

    until("the export's job has succeeded", job_succeeded)

    file = download_export.sync_detailed(export.id, client=client)
    assert file.status_code == 200 and len(file.content) == export.bytes_
    assert file.content.count(b"\n") == export.rows + 1


def find_ready_export(id: UUID):
    export = call(get_export, id)
    assert export.error is None, export.error
    return export if export.download else None


def check_validation_problem() -> None:
    problem = list_transactions.sync(client=client, limit=0)
    assert isinstance(problem, Problem) and problem.status == 422, problem
    assert problem.code == ProblemCode.VALIDATION_ERROR
    assert [error.field for error in problem.errors] == ["limit"]


main()
