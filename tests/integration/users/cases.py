"""What the tests of all services try with users. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from mercato.ids import derived_id
from mercato.store.dynamo import Table
from tests.integration.users.conftest import ADA, PASSWORD
from tests.kit.asked import Asked, asking
from tests.kit.cases import Accepted, Data, Expiring, Given, Heard, MayGo, Refused
from users.one_time_store import OneTimeStore
from users.one_time_token import OneTimeToken, Purpose
from users.passwords.attempt_store import AttemptStore
from users.passwords.attempts import TooManyAttempts, begin
from users.sessions.domain import InvalidRefreshToken, NotNewest, RefreshToken, repeat_successor
from users.sessions.store import SessionStore

# ---- requests that succeed


def _account(path: str, body: Any = None, *, stranger: bool = False) -> Given:
    """A request about a verified account whose mails have all been sent."""

    def account(service: Any) -> Asked:
        user_id = service.join()
        service.deliver()
        return Asked(path, body, user="" if stranger else user_id)

    return account


def _known_address(service: Any) -> Asked:
    service.join()
    return Asked("/api/users/lookup", _EMAIL, role="peer")


def _session(path: str) -> Given:
    def session(service: Any) -> Asked:
        service.join()
        return Asked(path, {"refresh_token": service.log_in().body["refresh_token"]}, user="")

    return session


def _after_failures(service: Any) -> Asked:
    service.join()
    for _ in range(2):
        service.log_in(password="wrong")
    return Asked("/api/users/login", {"email": ADA["email"], "password": PASSWORD}, user="")


def _registered(service: Any) -> Asked:
    service.join()
    service.deliver()
    return Asked("/api/users/verify-email", {"token": service.mailer.token()}, user="")


def _reset_asked(service: Any) -> Asked:
    service.join()
    service.deliver()
    assert service.call("POST", "/api/users/password-reset", {"email": ADA["email"]}).status == 202
    service.deliver()
    body = {"token": service.mailer.token(), "new_password": "a much better secret"}
    return Asked("/api/users/password-reset/confirm", body, user="")


_LOG_IN = {"email": ADA["email"], "password": PASSWORD}
_CHANGE = {"current_password": PASSWORD, "new_password": "a much better secret"}
_EMAIL = {"email": ADA["email"]}
ACCEPTED = (
    Accepted("POST /api/users", asking("/api/users", ADA, user="")),
    Accepted("POST /api/users", _account("/api/users", ADA, stranger=True)),
    Accepted("POST /api/users/login", _account("/api/users/login", _LOG_IN, stranger=True)),
    Accepted("POST /api/users/login", _after_failures),
    Accepted("POST /api/users/token/refresh", _session("/api/users/token/refresh")),
    Accepted("POST /api/users/logout", _session("/api/users/logout")),
    Accepted("POST /api/users/verify-email", _registered),
    Accepted("POST /api/users/password-reset", _account("/api/users/password-reset", _EMAIL, stranger=True)),
    Accepted("POST /api/users/password-reset/confirm", _reset_asked),
    Accepted("POST /api/users/lookup", _known_address),
    Accepted("PUT /api/users/me/password", _account("/api/users/me/password", _CHANGE)),
    Accepted("PUT /api/users/me/email-verification", _account("/api/users/me/email-verification")),
    Accepted("DELETE /api/users/me/sessions", _account("/api/users/me/sessions")),
    Accepted("PUT /api/users/me/closure", _account("/api/users/me/closure", {"password": PASSWORD})),
    Accepted("PATCH /api/users/me", _account("/api/users/me", {"name": "Ada King"})),
)

# ---- requests that are refused


_COUNTED = {
    "ATTEMPTS#": "a password is counted as wrong before it is looked at, and a right one makes the network known"
}
_ENDED = {"FAMILY#": "a refresh token that comes twice ends its session, and one of a session that is over is used up"}


def _registering(**changes: str) -> Given:
    return asking("/api/users", ADA | changes, user="")


def _own(path: str, body: Any = None, *, failures: int = 0) -> Given:
    """A request about the caller's account, after this many wrong passwords."""

    def given(service: Any) -> Asked:
        user_id = service.join()
        for _ in range(failures):
            service.log_in(password="wrong")
        return Asked(path, body, user=user_id)

    return given


def _closed(path: str, body: Any = None) -> Given:
    def given(service: Any) -> Asked:
        user_id = service.join()
        closing = service.call("PUT", "/api/users/me/closure", {"password": PASSWORD}, user_id=user_id)
        assert closing.status == 204
        return Asked(path, body, user=user_id)

    return given


def _logging_in(*, failures: int) -> Given:
    given = _own("/api/users/login", {"email": ADA["email"], "password": "wrong"}, failures=failures)
    return lambda service: Asked(**vars(given(service)) | {"user": ""})


def _refreshing_twice(service: Any) -> Asked:
    service.join()
    token = service.log_in().body["refresh_token"]
    newer = service.refresh(token).body["refresh_token"]
    service.refresh(newer)
    return Asked("/api/users/token/refresh", {"refresh_token": token}, user="")


def _refreshing_what_ended(service: Any) -> Asked:
    user_id = service.join()
    token = service.log_in().body["refresh_token"]
    assert service.call("DELETE", "/api/users/me/sessions", user_id=user_id).status == 204
    return Asked("/api/users/token/refresh", {"refresh_token": token}, user="")


def _mailed(service: Any, path: str) -> str:
    service.join()
    service.deliver()
    if path:
        service.call("POST", path, {"email": ADA["email"]})
        service.deliver()
    return str(service.mailer.token())


def _verifying_twice(service: Any) -> Asked:
    body = {"token": _mailed(service, "")}
    assert service.call("POST", "/api/users/verify-email", body).status == 204
    return Asked("/api/users/verify-email", body, user="")


def _resetting(password: str, *, again: bool = False) -> Given:
    def given(service: Any) -> Asked:
        body = {"token": _mailed(service, "/api/users/password-reset"), "new_password": password}
        if again:
            assert service.call("POST", "/api/users/password-reset/confirm", body).status == 204
        return Asked("/api/users/password-reset/confirm", body, user="")

    return given


REFUSED = (
    Refused("POST /api/users", "invalid-email", _registering(email="ada")),
    Refused("POST /api/users", "invalid-request", _registering(name="\u0958" * 100)),
    Refused("POST /api/users", "weak-password", _registering(password="password1234")),
    Refused("POST /api/users/login", "invalid-credentials", _logging_in(failures=0), _COUNTED),
    Refused("POST /api/users/login", "too-many-attempts", _logging_in(failures=6)),
    Refused(
        "POST /api/users/token/refresh",
        "invalid-refresh-token",
        asking("/api/users/token/refresh", {"refresh_token": "a" * 22 + "." + "b" * 43}, user=""),
    ),
    Refused("POST /api/users/token/refresh", "invalid-refresh-token", _refreshing_what_ended, _ENDED),
    Refused("POST /api/users/token/refresh", "refresh-token-reused", _refreshing_twice, _ENDED),
    Refused("POST /api/users/verify-email", "invalid-token", _verifying_twice),
    Refused("POST /api/users/password-reset/confirm", "invalid-token", _resetting("another secret", again=True)),
    Refused("POST /api/users/password-reset/confirm", "weak-password", _resetting("password1234")),
    Refused(
        "PUT /api/users/me/password",
        "wrong-password",
        _own("/api/users/me/password", _CHANGE | {"current_password": "wrong"}),
        _COUNTED,
    ),
    Refused(
        "PUT /api/users/me/password",
        "weak-password",
        _own("/api/users/me/password", _CHANGE | {"new_password": "password1234"}),
        _COUNTED,
    ),
    Refused("PUT /api/users/me/password", "too-many-attempts", _own("/api/users/me/password", _CHANGE, failures=6)),
    Refused("PUT /api/users/me/password", "user-not-found", _closed("/api/users/me/password", _CHANGE)),
    Refused(
        "PUT /api/users/me/closure", "wrong-password", _own("/api/users/me/closure", {"password": "wrong"}), _COUNTED
    ),
    Refused(
        "PUT /api/users/me/closure",
        "too-many-attempts",
        _own("/api/users/me/closure", {"password": PASSWORD}, failures=6),
    ),
    Refused("PUT /api/users/me/closure", "user-not-found", _closed("/api/users/me/closure", {"password": PASSWORD})),
    Refused("PUT /api/users/me/email-verification", "user-not-found", _closed("/api/users/me/email-verification")),
    Refused("DELETE /api/users/me/sessions", "user-not-found", _closed("/api/users/me/sessions")),
    Refused("PATCH /api/users/me", "invalid-request", _own("/api/users/me", {"name": "\u0958" * 100})),
    Refused("PATCH /api/users/me", "user-not-found", _closed("/api/users/me", {"name": "Ada King"})),
)

# ---- events


def _joined(service: Any) -> Data:
    return {"user_id": service.join()}


HEARD = (
    Heard("users", "user.registered", _joined),
    Heard("users", "user.registration_repeated", _joined),
    Heard("users", "user.verification_requested", _joined),
    Heard("users", "user.password_reset_requested", _joined),
    Heard("users", "user.password_changed", _joined),
)

# ---- items that expire


def _fail_to_log_in(table: Table, now: datetime) -> object:
    """Fails to log in. Returns the counted attempts and the delay after them."""
    attempts = AttemptStore(table)
    before = attempts.read("ada@example.com", "203.0.113.0", now)
    for _ in range(6):
        try:
            begin("ada@example.com", "203.0.113.0", now, attempts)
        except TooManyAttempts as refused:
            return before, refused.detail
    return before, ""


def _log_in(table: Table, now: datetime) -> None:
    attempts = AttemptStore(table)
    attempts.succeed("ada@example.com", "203.0.113.0", begin("ada@example.com", "203.0.113.0", now, attempts), now)


_TOKEN = RefreshToken.make()


def _open_session(table: Table, now: datetime) -> None:
    SessionStore(table).open(_TOKEN, "ada", 0, now + timedelta(days=30))


def _refresh(table: Table, now: datetime) -> object:
    try:
        return SessionStore(table).rotate(_TOKEN, "salt", now).digest
    except NotNewest as refused:
        if refused.family is None:
            return InvalidRefreshToken
        with suppress(InvalidRefreshToken):
            return repeat_successor(refused.family, _TOKEN, now)
        return InvalidRefreshToken


_ONE_TIME = OneTimeToken.make(derived_id("ada"))


def _issue(table: Table, now: datetime) -> None:
    tokens = OneTimeStore(table)
    assert tokens.issue(_ONE_TIME, Purpose.RESET_PASSWORD, "event-1", now, now)
    tokens.mark_sent(_ONE_TIME, Purpose.RESET_PASSWORD, now)


def _issue_again(table: Table, now: datetime) -> object:
    tokens = OneTimeStore(table)
    was_good = tokens.is_good(_ONE_TIME, Purpose.RESET_PASSWORD, now)
    return was_good, tokens.issue(OneTimeToken.make(derived_id("ada")), Purpose.RESET_PASSWORD, "event-1", now, now)


EXPIRING = (
    Expiring(
        "failed log-ins",
        "UsersTable",
        ("users.passwords.attempt_store:AttemptStore.count",),
        _fail_to_log_in,
        _fail_to_log_in,
    ),
    Expiring(
        "known network", "UsersTable", ("users.passwords.attempt_store:AttemptStore.succeed",), _log_in, _fail_to_log_in
    ),
    Expiring("session", "UsersTable", ("users.sessions.store:SessionStore.open",), _open_session, _refresh),
    Expiring("one-time token", "UsersTable", ("users.one_time_store:OneTimeStore.issue",), _issue, _issue_again),
)
MAY_GO = (
    MayGo(
        "functions/users/users/passwords/attempt_store.py", "failed log-ins after a day, known networks after 30 days"
    ),
    MayGo("functions/users/users/one_time_store.py", "a link in a mail, longer than it is good for"),
    MayGo("functions/users/users/sessions/store.py", "a session that has expired"),
)
