"""The users' table, and the only place that knows its keys.

USER#<id>        USER     the account; what is left of a closed one is its id and when it was closed
EMAIL#<address>  LOGIN    whose address it is, and the password's hash; its key keeps addresses unique
OUTBOX#<id>      …        what the relay publishes

Sessions, one-time tokens and counts of attempts are in the same table, each with a store of its own.
"""

from __future__ import annotations

import contextlib
from datetime import datetime

from mercato import outbox
from mercato.clock import rfc3339
from mercato.dynamo import ConditionFailed, Table, Write, check, delete, put, put_new, update
from mercato.errors import TransientError
from mercato.events import EventModel
from mercato.ids import new_id
from mercato.items import Item
from users import onetime_store
from users.domain import EmailTaken, Login, Role, User, UserNotFound
from users.events import EmailVerified, PasswordChanged, RegistrationRepeated, UserClosed, UserRegistered
from users.onetime import InvalidToken


class UserStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, user: User, password_hash: str, event: UserRegistered) -> None:
        """Account, address and event together. Raises EmailTaken where the address has an account.

        The look before the write makes both outcomes one read and one transaction, so that neither is quicker.
        """
        taken = self.find_login(user.email)
        if taken is not None:
            raise EmailTaken(taken.user_id)
        login = {"pk": _login(user.email), "sk": "LOGIN", "user_id": user.user_id, "password_hash": password_hash}
        announced = _announce(event, user.user_id, user.version, user.created_at)
        try:
            self._table.transact([put_new(login), put_new(_user_item(user)), announced])
        except ConditionFailed as failed:
            if failed.index != 0 or failed.item is None:
                raise
            raise EmailTaken(failed.item["user_id"]) from None  # by another request, between look and write

    def find_login(self, email: str) -> Login | None:
        item = self._table.get(_login(email), "LOGIN")
        return Login(item["user_id"], item["password_hash"], item.get("session_epoch", 0)) if item else None

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
        if item is None or "closed_at" in item:
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
            "attribute_exists(pk) AND attribute_not_exists(closed_at)",
            names={"#attribute": attribute, "#version": "version"},
            values={":value": value, ":one": 1},
        )
        try:
            item = self._table.write(change, return_values="ALL_NEW")
        except ConditionFailed:
            raise UserNotFound("There is no such user.") from None
        return _user(item or {})

    def announce_repetition(self, email: str, user_id: str, now: datetime) -> None:
        """Somebody registered again with this address; as heavy a write as `add`."""
        event = RegistrationRepeated(user_id=user_id)
        theirs = check(_login(email), "LOGIN", "user_id = :user", values={":user": user_id})
        is_open = check(f"USER#{user_id}", "USER", "attribute_exists(pk) AND attribute_not_exists(closed_at)")
        with contextlib.suppress(ConditionFailed):  # closed a moment ago: there is nobody to tell
            self._table.transact([theirs, is_open, _announce(event, new_id(now), 1, now)])

    def announce(self, event: EventModel, subject: str, now: datetime) -> None:
        """An event that changes nothing here: its subject is its own."""
        self._table.write(_announce(event, subject, 1, now))

    def verify_email(self, user: User, proof: Write, now: datetime) -> None:
        """`proof` uses the token. Raises InvalidToken where it cannot be used."""
        verified = _change_user(user, "SET email_verified = :yes, #version = :next", {":yes": True})
        event = EmailVerified(user_id=user.user_id)
        self._commit([proof, verified, _announce(event, user.user_id, user.version + 1, now)], has_proof=True)

    def set_password(self, user: User, password_hash: str, now: datetime, proof: Write | None = None) -> None:
        """Another password, and the end of every session, together. Raises InvalidToken where `proof` fails. Who has
        the proof has read the mail, so that the address is verified too.
        """
        login = _change_login(user, "SET session_epoch = :epoch, password_hash = :hash", {":hash": password_hash})
        told: list[EventModel] = [PasswordChanged(user_id=user.user_id)]
        if proof and not user.email_verified:
            told.append(EmailVerified(user_id=user.user_id))
        changed = _begin_epoch(user, is_verified=user.email_verified or proof is not None)
        writes = [login, changed, *(_announce(event, user.user_id, user.version + 1, now) for event in told)]
        self._commit([proof, *writes] if proof else writes, has_proof=proof is not None)

    def end_sessions(self, user: User) -> None:
        self._commit([_change_login(user, "SET session_epoch = :epoch", {}), _begin_epoch(user)])

    def close(self, user: User, now: datetime) -> None:
        """Address, name, hash and tokens go; the id stays, since orders speak of it. The address is free again."""
        owned = delete(_login(user.email), "LOGIN", "user_id = :user", values={":user": user.user_id})
        left = {"pk": f"USER#{user.user_id}", "sk": "USER", "user_id": user.user_id, "closed_at": rfc3339(now)}
        tombstone = put(
            left | {"version": user.version + 1},
            "#version = :version",
            names={"#version": "version"},
            values={":version": user.version},
        )
        event = UserClosed(user_id=user.user_id)
        announced = _announce(event, user.user_id, user.version + 1, now)
        self._commit([owned, tombstone, announced, *onetime_store.forget(user.user_id)])

    def _commit(self, writes: list[Write], *, has_proof: bool = False) -> None:
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            if has_proof and failed.index == 0:
                raise InvalidToken from None
            # The account was changed since it was read; nothing was written, and asking again is safe.
            raise TransientError("the account is being changed by another request") from None


def _announce(event: EventModel, subject: str, sequence: int, now: datetime) -> Write:
    return outbox.record(event, service="users", subject=subject, sequence=sequence, now=now)


def _change_user(user: User, expression: str, values: Item) -> Write:
    return update(
        f"USER#{user.user_id}",
        "USER",
        expression,
        "#version = :version",
        names={"#version": "version"},
        values=values | {":version": user.version, ":next": user.version + 1},
    )


def _begin_epoch(user: User, *, is_verified: bool = False) -> Write:
    verified = ", email_verified = :yes" if is_verified else ""
    values: Item = {":epoch": user.session_epoch + 1} | ({":yes": True} if is_verified else {})
    return _change_user(user, f"SET session_epoch = :epoch, #version = :next{verified}", values)


def _change_login(user: User, expression: str, values: Item) -> Write:
    return update(
        _login(user.email),
        "LOGIN",
        expression,
        "user_id = :user",
        values=values | {":user": user.user_id, ":epoch": user.session_epoch + 1},
    )


def _login(email: str) -> str:
    return f"EMAIL#{email}"


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
        email_verified=item.get("email_verified", False),
        session_epoch=item.get("session_epoch", 0),
    )
