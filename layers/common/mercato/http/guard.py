"""The guard of every API: the limiter counts a client's requests, the audit log records the actions of admins.

Applies to API Gateway requests, and to the requests that a page makes for its visitor. Other peer calls are neither
limited nor audited.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import field

from botocore.exceptions import ClientError

from mercato import config
from mercato.clock import utc_now
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.http.audit import AuditEntry, AuditTrail
from mercato.http.auth import Caller
from mercato.http.rate_limit import CountTable, Limit, Limiter, RateLimited, client_of
from mercato.http.request import SOURCE_ADDRESS, Request
from mercato.store.dynamo import Table
from mercato.telemetry import correlation
from mercato.telemetry.logs import log


@dataclass(frozen=True)
class Settings:
    """Set for every function by the template's Globals. Without its table, there is no limit or no audit log."""

    rate_limits_table: str = ""
    rate_limit_per_15_minutes: int = 100
    audit_table: str = ""


@dataclasses.dataclass
class GuardState:
    """The guard's state for one request: headers of the response, and the audit entry that still needs its outcome."""

    headers: dict[str, str] = field(default_factory=dict)
    entry: AuditEntry | None = None


class Guard:
    def __init__(self, limiter: Limiter | None = None, trail: AuditTrail | None = None) -> None:
        self._limiter = limiter
        self._trail = trail

    def count(self, state: GuardState, request: Request, limit: Limit | None) -> None:
        """Counts the request. The response has the client's remaining requests. Raises RateLimited.

        A peer's own calls are not counted; those that it makes for a visitor of a page count for that visitor.
        """
        caller = request.caller
        if self._limiter is None or limit is None or (caller.is_peer and SOURCE_ADDRESS not in request.headers):
            return
        try:
            standing = self._limiter.charge(client_of(caller, request.source_ip), limit)
        except RateLimited:
            state.headers |= self._limiter.standing_of_refused(limit).headers()
            raise
        if standing is not None:
            state.headers |= standing.headers()

    def record(
        self, state: GuardState, caller: Caller, service: str, method: str, path: str, names: Mapping[str, str]
    ) -> None:
        """Writes the audit entry. If that fails, the action is not done, and the admin gets the error."""
        if self._trail is None or not caller.is_admin or method == "GET":
            return
        target = " ".join(f"{name}={value}" for name, value in names.items())
        request_id = correlation.current().correlation_id
        entry = AuditEntry.make(caller.user_id, service, f"{method} {path}", target, request_id, utc_now())
        self._trail.ask(entry)
        state.entry = entry

    def close(self, state: GuardState, status: int) -> None:
        if self._trail is None or state.entry is None:
            return
        try:
            self._trail.answer(state.entry, status)
        except (TransientError, ClientError) as error:
            # The action is done and recorded; the log has its outcome under the request id.
            log.error("the outcome is not in the audit log", extra={"reason": str(error), "status": status})


@functools.cache
def configured() -> Guard:
    settings = config.load(Settings)
    limiter = None
    if settings.rate_limits_table:
        limiter = Limiter(CountTable(settings.rate_limits_table), settings.rate_limit_per_15_minutes)
    return Guard(limiter, AuditTrail(Table(settings.audit_table)) if settings.audit_table else None)
