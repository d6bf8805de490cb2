"""The last probe of each instance, and the only module that knows its keys: pk=PROBES, sk=<service>#<instance>, ttl
one day.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from mercato.clock import epoch, rfc3339
from mercato.store import dynamo
from mercato.store.dynamo import Table
from mercato.store.expiry import is_live
from ops.health.probe import Probe

_KEPT = timedelta(days=1)


class ProbeStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def save(self, probe: Probe) -> None:
        self._table.write(
            dynamo.put(
                asdict(probe)
                | {
                    "pk": "PROBES",
                    "sk": f"{probe.service}#{probe.instance_id}",
                    "at": rfc3339(probe.at),
                    "ttl": epoch(probe.at + _KEPT),
                }
            )
        )

    def last(self, now: datetime) -> dict[tuple[str, str], Probe]:
        """By service and instance."""
        found = [
            Probe(
                item["service"],
                item["instance_id"],
                item["health"],
                item["detail"],
                int(item["took_ms"]),
                datetime.fromisoformat(item["at"]),
            )
            for item in self._table.query_all("PROBES")
            if is_live(item, now)
        ]
        return {(probe.service, probe.instance_id): probe for probe in found}
