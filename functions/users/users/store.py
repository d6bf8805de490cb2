"""The users' table, and the only place that knows its keys.

USER#<id>        USER     the account
EMAIL#<address>  LOGIN    whose address it is, and the password's hash; its key keeps addresses unique
FAMILY#<id>      SESSION  a session, as digests of its refresh tokens
OUTBOX#<id>      …        what the relay publishes
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mercato import outbox
from mercato.clock import epoch, rfc3339
from mercato.dynamo import ConditionFailed, Table, put, put_new, update
from mercato.items import Item
from users.domain import EmailTaken, Login, Role, User, UserNotFound
from users.events import UserRegistered
from users.sessions import Family, NotNewest, RefreshToken


class UserStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, user: User, password_hash: str, event: UserRegistered) -> None:
        """Account, address and event together. Raises EmailTaken where the address has an account."""
        login = {"pk": _login(user.email), "sk": "LOGIN", "user_id": user.user_id, "password_hash": password_hash}
        announced = outbox.record(
            event, service="users", subject=user.user_id, sequence=user.version, now=user.created_at
        )
        try:
            self._table.transact([put_new(login), put_new(_user_item(user)), announced])
        except ConditionFailed as failed:
            if failed.index != 0:
                raise
            raise EmailTaken("There is an account with this e-mail address. Log in instead.") from None

    def find_login(self, email: str) -> Login | None:
        item = self._table.get(_login(email), "LOGIN")
        return Login(item["user_id"], item["password_hash"]) if item else None

    def replace_hash(self, email: str, old: str, new: str) -> None:
        """Where the hash is no longer `old`, somebody changed the password meanwhile and theirs stays."""
        change = update(
            _login(email),
            "LOGIN",
            "SET password_hash = :new",
            "password_hash = :old",
            values={":new": new, ":old": old},
        )
        try:
            self._table.write(change)
        except ConditionFailed:
            return

    def get(self, user_id: str) -> User:
        item = self._table.get(f"USER#{user_id}", "USER")
        if item is None:
            raise UserNotFound("There is no such user.")
        return _user(item)

    def rename(self, user_id: str, name: str) -> User:
        return self._change(user_id, "name", name)

    def set_role(self, user_id: str, role: Role) -> User:
        return self._change(user_id, "role", role.value)

    def _change(self, user_id: str, attribute: str, value: str) -> User:
        change = update(
            f"USER#{user_id}",
            "USER",
            "SET #attribute = :value, #version = #version + :one",
            "attribute_exists(pk)",
            names={"#attribute": attribute, "#version": "version"},
            values={":value": value, ":one": 1},
        )
        try:
            item = self._table.write(change, return_values="ALL_NEW")
        except ConditionFailed:
            raise UserNotFound("There is no such user.") from None
        return _user(item or {})


class SessionStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def open(self, token: RefreshToken, user_id: str, expires_at: datetime) -> None:
        item = {
            "pk": _family(token.family_id),
            "sk": "SESSION",
            "user_id": user_id,
            "digest": token.digest,
            "expires_at": rfc3339(expires_at),
            "ttl": epoch(expires_at),
        }
        # The client library may send it again after a lost answer: the same session may be there, another may not.
        is_ours = "attribute_not_exists(pk) OR digest = :digest"
        self._table.write(put(item, is_ours, values={":digest": token.digest}))

    def rotate(self, token: RefreshToken, salt: str, now: datetime) -> Family:
        """Put the successor in the place of `token`. Raises NotNewest where it is not the newest of a live session."""
        change = update(
            _family(token.family_id),
            "SESSION",
            "SET digest = :new, previous_digest = :old, salt = :salt, rotated_at = :now",
            "digest = :old AND attribute_not_exists(revoked_at) AND expires_at > :now",
            values={":new": token.successor(salt).digest, ":old": token.digest, ":salt": salt, ":now": rfc3339(now)},
        )
        try:
            item = self._table.write(change, return_values="ALL_NEW")
        except ConditionFailed as failed:
            raise NotNewest(_session(token.family_id, failed.item) if failed.item else None) from None
        return _session(token.family_id, item or {})

    def revoke(self, family_id: str, now: datetime) -> None:
        """The session ends. Again, or for a session that is not there, it changes nothing."""
        change = update(
            _family(family_id),
            "SESSION",
            "SET revoked_at = :now",
            "attribute_exists(pk) AND attribute_not_exists(revoked_at)",
            values={":now": rfc3339(now)},
        )
        try:
            self._table.write(change)
        except ConditionFailed:
            return


def _login(email: str) -> str:
    return f"EMAIL#{email}"


def _family(family_id: str) -> str:
    return f"FAMILY#{family_id}"


def _user_item(user: User) -> Item:
    return {
        "pk": f"USER#{user.user_id}",
        "sk": "USER",
        "user_id": user.user_id,
        "email": user.email,
        "name": user.name,
        "role": user.role.value,
        "version": user.version,
        "created_at": rfc3339(user.created_at),
    }


def _user(item: Item) -> User:
    return User(
        user_id=item["user_id"],
        email=item["email"],
        name=item["name"],
        role=Role(item["role"]),
        version=item["version"],
        created_at=datetime.fromisoformat(item["created_at"]),
    )


def _session(family_id: str, item: Item) -> Family:
    return Family(
        family_id=family_id,
        user_id=item["user_id"],
        digest=item["digest"],
        expires_at=datetime.fromisoformat(item["expires_at"]),
        previous_digest=item.get("previous_digest"),
        salt=item.get("salt"),
        rotated_at=_moment(item.get("rotated_at")),
        revoked_at=_moment(item.get("revoked_at")),
    )


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
