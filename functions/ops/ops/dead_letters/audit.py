"""The audit of redrives: pk=DLQ#<queue>, sk=AUDIT#<id that sorts by time>. The instruction is stored before any letter
is sent. `outcome` is `started` until the redrive ends, and stays so after a crash.
"""

from __future__ import annotations

from contextlib import suppress

from mercato.clock import rfc3339
from mercato.ids import new_id
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from ops.dead_letters.redrive import Instruction, Redrive


class RedriveAudit:
    def __init__(self, table: Table) -> None:
        self._table = table

    def open(self, queue: str, instruction: Instruction) -> str:
        audit_id = new_id(instruction.at)
        started = {
            "pk": _pk(queue),
            "sk": f"AUDIT#{audit_id}",
            "queue": queue,
            "operator": instruction.operator,
            "request_id": instruction.request_id,
            "at": rfc3339(instruction.at),
            "note": instruction.note,
            "event_type": instruction.selection.event_type,
            "reason": instruction.selection.reason,
            "ids": sorted(instruction.selection.ids),
            "max": instruction.most,
            "outcome": "started",
            "redriven": 0,
            "left_behind": 0,
        }
        with suppress(ConditionFailed):  # a retry of this write after a lost response
            self._table.write(dynamo.put_new(started))
        return audit_id

    def close(self, queue: str, audit_id: str, result: Redrive) -> None:
        self._table.write(
            dynamo.update(
                _pk(queue),
                f"AUDIT#{audit_id}",
                "SET outcome = :outcome, redriven = :redriven, left_behind = :left_behind",
                values={
                    ":outcome": "failed" if result.failure else "done",
                    ":redriven": result.redriven,
                    ":left_behind": result.left_behind,
                },
            )
        )

    def latest(self, queue: str, limit: int) -> list[Item]:
        """Newest first."""
        return self._table.query(_pk(queue), KeyRange(prefix="AUDIT#", forward=False), limit=limit).items


def _pk(queue: str) -> str:
    return f"DLQ#{queue}"
