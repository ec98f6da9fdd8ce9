"""How two sides of a day are matched: the rules, without the database.

One payment per side and key counts, the others are duplicates. A pair agrees if its
amounts and statuses do; what may still change is pending.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from parameters import Source, Status
from sqlalchemy import Row

GRACE = timedelta(minutes=120)
SETTLE = timedelta(minutes=30)
TOLERANCE = Decimal("0.01")
OPEN = {Status.PENDING, Status.PROCESSING}

ByKey = dict[str, list[Row]]

COUNTED = (
    "matched",
    "amount_discrepancies",
    "status_discrepancies",
    "missing_vima",
    "missing_payshack",
    "pending",
    "duplicates",
    "unmatchable",
)


@dataclass
class Findings:
    counts: Counter[str] = field(default_factory=Counter)
    results: list[dict] = field(default_factory=list)

    def add(
        self,
        match_status: str,
        vima: Row | None = None,
        payshack: Row | None = None,
        types: Sequence[str] = (),
    ) -> None:
        first = f"{types[0]}_discrepancies" if types else match_status
        self.counts[first] += 1
        self.results.append(
            {
                "key": (vima or payshack).key,
                "match_status": match_status,
                "types": list(types),
                "vima_txn_id": vima and vima.id,
                "payshack_txn_id": payshack and payshack.id,
                "vima_amount": vima and vima.amount,
                "payshack_amount": payshack and paid(payshack),
                "vima_status": vima and vima.status,
                "payshack_status": payshack and payshack.status,
            }
        )

    def add_one_side(self, source: Source, status: str, row: Row) -> None:
        if source == Source.VIMA:
            self.add(status, vima=row)
        else:
            self.add(status, payshack=row)


def by_key(rows: Iterable[Row]) -> ByKey:
    groups = defaultdict(list)
    for row in rows:
        if row.key and (key := row.key.strip()):
            groups[key].append(row)
    return groups


def match(vima: ByKey, payshack: ByKey, now: datetime) -> Findings:
    """Judges each key of either side."""
    findings = Findings()
    for key in vima.keys() | payshack.keys():
        kept = {}
        for source, group in ((Source.VIMA, vima), (Source.PAYSHACK, payshack)):
            rows = sorted(group.get(key, ()), key=preference)
            kept[source] = rows[0] if rows else None
            for duplicate in rows[1:]:
                findings.add_one_side(source, "duplicates", duplicate)
        judge(findings, kept[Source.VIMA], kept[Source.PAYSHACK], now)
    return findings


def judge(
    findings: Findings, vima: Row | None, payshack: Row | None, now: datetime
) -> None:
    if vima and payshack:
        judge_pair(findings, vima, payshack, now)
        return
    row, source, missing = (
        (vima, Source.VIMA, "missing_payshack")
        if vima
        else (payshack, Source.PAYSHACK, "missing_vima")
    )
    is_settled = now - row.created_at >= SETTLE
    findings.add_one_side(source, missing if is_settled else "pending", row)


def judge_pair(findings: Findings, vima: Row, payshack: Row, now: datetime) -> None:
    types = []
    differs = abs(vima.amount - paid(payshack)) > TOLERANCE
    if differs or vima.currency != payshack.currency:
        types.append("amount")
    if status_group(vima) != status_group(payshack):
        types.append("status")
        changed_at = max(row.updated_at or row.created_at for row in (vima, payshack))
        is_open = "open" in (status_group(vima), status_group(payshack))
        if is_open and now - changed_at < GRACE:
            findings.add("pending", vima, payshack)
            return
    if types:
        findings.add("discrepancy", vima, payshack, types)
    else:
        findings.counts["matched"] += 1


def preference(row: Row) -> tuple:
    return row.status != Status.SUCCESS, row.created_at, row.source_id


def paid(payshack: Row) -> Decimal:
    is_paid = payshack.status == Status.SUCCESS and payshack.paid_amount is not None
    return payshack.paid_amount if is_paid else payshack.amount


def status_group(row: Row) -> str:
    return "open" if row.status in OPEN else row.status
