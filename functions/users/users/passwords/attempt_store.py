"""The counts of log-in attempts in the users' table, and the only module that knows their keys.

ATTEMPTS#<digest of the address>  STRANGERS            failures from unknown networks
ATTEMPTS#<digest of the address>  NETWORK#<digest>     failures from a network with an earlier log-in

The keys are digests, so that the table does not contain guessed addresses.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from mercato.clock import epoch, rfc3339
from mercato.store.dynamo import ConditionFailed, Table, put, update
from mercato.store.expiry import ABSENT, LIVE, NAMES, at, is_live
from users.passwords.attempts import FORGOTTEN_AFTER, NETWORK_KNOWN_FOR, Count, Counted

_STRANGERS = "STRANGERS"


class AttemptStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, email: str, network: str, now: datetime) -> Count:
        pk, own = _account(email), _network(email, network)
        kept = self._table.get_many([(pk, own), (pk, _STRANGERS)])
        found = {item["sk"]: item for item in kept if is_live(item, now)}
        item = found.get(own) or found.get(_STRANGERS)
        if item is None:
            return Count()
        blocked = item.get("blocked_until")
        return Count(item["failures"], datetime.fromisoformat(blocked) if blocked else None, item["sk"] == own)

    def count(self, email: str, network: str, before: Count, blocked_until: datetime | None, now: datetime) -> None:
        """Adds one failure. Raises Counted if the count is no longer `before`."""
        kept = NETWORK_KNOWN_FOR if before.is_network else FORGOTTEN_AFTER
        # A failure does not make a network known again that has expired in between.
        as_read = f"failures = :before AND {LIVE}"
        condition = as_read if before.is_network or before.failures else f"{ABSENT} OR failures = :before"
        change = update(
            _account(email),
            _network(email, network) if before.is_network else _STRANGERS,
            "SET failures = :after, #ttl = :ttl"
            + (", blocked_until = :until" if blocked_until else " REMOVE blocked_until"),
            condition,
            names=NAMES,
            values=at(now)
            | {":before": before.failures, ":after": before.failures + 1, ":ttl": epoch(now + kept)}
            | ({":until": rfc3339(blocked_until)} if blocked_until else {}),
        )
        try:
            self._table.write(change)
        except ConditionFailed:
            raise Counted from None

    def succeed(self, email: str, network: str, before: Count, now: datetime) -> None:
        """Marks the network as the owner's, with no failures. The strangers' count stays, less this attempt."""
        known = {"pk": _account(email), "sk": _network(email, network), "failures": 0}
        writes = [put(known | {"ttl": epoch(now + NETWORK_KNOWN_FOR)})]
        if not before.is_network:
            less = "SET failures = failures - :one REMOVE blocked_until"
            as_left = "failures = :counted"
            values = {":one": 1, ":counted": before.failures + 1}
            writes.append(update(_account(email), _STRANGERS, less, as_left, values=values))
        try:
            self._table.transact(writes)
        except ConditionFailed:
            self._table.write(writes[0])  # another stranger's attempt came in between, and its count is newer


def _account(email: str) -> str:
    return f"ATTEMPTS#{hashlib.sha256(email.encode()).hexdigest()}"


def _network(email: str, network: str) -> str:
    return f"NETWORK#{hashlib.sha256(f'{email}|{network}'.encode()).hexdigest()}"
