"""The users' table, and the only module that knows the keys of accounts.

USER#<id>        USER     the account; a closed one keeps its id and the time of closing
EMAIL#<address>  LOGIN    the account of the address, and the password's hash; its key keeps addresses unique
OUTBOX#<id>      …        events for the relay

Sessions, one-time tokens and counts of attempts are in the same table, each with its own store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from mercato.clock import rfc3339
from mercato.events import EventModel, outbox
from mercato.ids import new_id
from mercato.store import ended_access
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, Table, Write, check, delete, put, put_new, update
from users import one_time_store
from users.domain import AccountChanging, EmailTaken, Login, Role, User, UserNotFound
from users.events import (
    EmailVerified,
    PasswordChanged,
    ProfileChanged,
    RegistrationRepeated,
    UserClosed,
    UserRegistered,
)
from users.one_time_token import InvalidToken
from users.passwords.hashing import UNMATCHABLE


class UserStore:
    """`mercato.store.ended_access` writes to `access_table`, if given, which tokens the authorizer refuses."""

    def __init__(self, table: Table, access_table: str = "") -> None:
        self._table = table
        self._access_table = access_table

    def add(self, user: User, password_hash: str, event: UserRegistered) -> None:
        """Writes account, address and event together. Raises EmailTaken if the address has an account.

        Reads before it writes, so that both outcomes take one read and one transaction and neither is quicker.
        """
        taken = self.find_login(user.email)
        if taken is not None:
            raise EmailTaken(taken)
        login = {"pk": _login(user.email), "sk": "LOGIN", "user_id": user.user_id, "password_hash": password_hash}
        announced = _announce(event, user.user_id, user.version, user.created_at)
        try:
            self._table.transact([put_new(login), put_new(_user_item(user)), announced])
        except ConditionFailed as failed:
            if failed.index != 0 or failed.item is None:
                raise
            raise EmailTaken(_login_of(failed.item)) from None  # by another request, between read and write

    def find_login(self, email: str) -> Login | None:
        item = self._table.get(_login(email), "LOGIN")
        return _login_of(item) if item else None

    def replace_hash(self, email: str, old: str, new: str) -> None:
        """Does nothing if the hash is no longer `old`, since the password was changed in between."""
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

    def rename(self, user: User, name: str, now: datetime) -> User:
        """Returns the changed account. Raises AccountChanging."""
        renamed = replace(user, name=name, version=user.version + 1)
        change = _change_user(user, "SET #name = :name, #version = :next", {":name": name}, names={"#name": "name"})
        self._commit([change, _announce_profile(renamed, now)])
        return renamed

    def set_role(self, user_id: str, role: Role) -> User:
        change = update(
            f"USER#{user_id}",
            "USER",
            "SET #role = :role, #version = #version + :one",
            "attribute_exists(pk) AND attribute_not_exists(closed_at)",
            names={"#role": "role", "#version": "version"},
            values={":role": role.value, ":one": 1},
        )
        try:
            item = self._table.write(change, return_values="ALL_NEW")
        except ConditionFailed:
            raise UserNotFound("There is no such user.") from None
        return _user(item or {})

    def announce_repetition(self, email: str, user_id: str, now: datetime, *, is_contested: bool) -> None:
        """The address was registered again. Writes as much as `add`, so that it takes as long."""
        event = RegistrationRepeated(user_id=user_id)
        values = {":user": user_id}
        theirs = check(_login(email), "LOGIN", "user_id = :user", values=values)
        if is_contested:
            contest = "SET is_contested = :yes"
            theirs = update(_login(email), "LOGIN", contest, "user_id = :user", values=values | {":yes": True})
        is_open = check(f"USER#{user_id}", "USER", "attribute_exists(pk) AND attribute_not_exists(closed_at)")
        with contextlib.suppress(ConditionFailed):  # closed in between: there is no owner to notify
            self._table.transact([theirs, is_open, _announce(event, new_id(now), 1, now)])

    def announce(self, event: EventModel, subject: str, now: datetime) -> None:
        """Publishes an event that changes no account."""
        self._table.write(_announce(event, subject, 1, now))

    def verify_email(self, user: User, login: Login, proof: Write, now: datetime) -> None:
        """`proof` uses the token. Raises InvalidToken if it cannot be used.

        A contested account keeps nothing of its registrations when it is verified: its password is unusable until a
        reset by mail, its sessions end, and its name is empty.
        """
        events: list[EventModel] = [EmailVerified(user_id=user.user_id, email=user.email)]
        if user.email_verified:
            writes = [_change_user(user, "SET email_verified = :yes, #version = :next", {":yes": True})]
        elif login.is_contested:
            void = {":hash": UNMATCHABLE}
            emptied = "SET session_epoch = :epoch, password_hash = :hash REMOVE is_contested"
            writes = [_begin_epoch(user, is_verified=True, is_nameless=True), _change_login(user, emptied, void)]
            events.append(ProfileChanged(user_id=user.user_id, name=""))
        else:
            uncontested = "user_id = :user AND attribute_not_exists(is_contested)"
            writes = [
                _change_user(user, "SET email_verified = :yes, #version = :next", {":yes": True}),
                check(_login(user.email), "LOGIN", uncontested, values={":user": user.user_id}),
            ]
        announced = [_announce(event, user.user_id, user.version + 1, now) for event in events]
        self._commit([proof, *writes, *announced], has_proof=True)

    def set_password(
        self, user: User, password_hash: str, now: datetime, proof: Write | None = None, *, is_contested: bool = False
    ) -> None:
        """Sets the password and ends every session in one transaction. Raises InvalidToken if `proof` fails. The proof
        shows access to the mailbox, so it also verifies the address and empties the name of a contested account.
        """
        change = "SET session_epoch = :epoch, password_hash = :hash REMOVE is_contested"
        login = _change_login(user, change, {":hash": password_hash})
        events: list[EventModel] = [PasswordChanged(user_id=user.user_id)]
        is_verifying = proof is not None and not user.email_verified
        if is_verifying:
            events.append(EmailVerified(user_id=user.user_id, email=user.email))
        if is_verifying and is_contested:
            events.append(ProfileChanged(user_id=user.user_id, name=""))
        changed = _begin_epoch(
            user,
            is_verified=user.email_verified or proof is not None,
            is_nameless=is_verifying and is_contested,
        )
        writes = [login, changed, *(_announce(event, user.user_id, user.version + 1, now) for event in events)]
        self._commit([proof, *writes] if proof else writes, has_proof=proof is not None)

    def end_sessions(self, user: User) -> None:
        self._commit([_change_login(user, "SET session_epoch = :epoch", {}), _begin_epoch(user)])

    def close(self, user: User, now: datetime) -> None:
        """Erases address, name, hash and tokens. The id stays, since orders refer to it. The address is free again."""
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
        self._commit([owned, tombstone, announced, *one_time_store.forget(user.user_id), *self._end_access(user, now)])

    def take_role(self, user: User, now: datetime) -> None:
        """Makes the account a customer's. Ends its sessions, and the access tokens with the role."""
        role = {":role": Role.CUSTOMER.value}
        changed = "SET session_epoch = :epoch, #role = :role, #version = :next"
        values = role | {":epoch": user.session_epoch + 1}
        writes = [
            _change_login(user, "SET session_epoch = :epoch", {}),
            _change_user(user, changed, values, names={"#role": "role"}),
        ]
        self._commit([*writes, *self._end_access(user, now)])

    def _end_access(self, user: User, now: datetime) -> list[Write]:
        return [ended_access.end(self._access_table, user.user_id, now)] if self._access_table else []

    def _commit(self, writes: list[Write], *, has_proof: bool = False) -> None:
        try:
            self._table.transact(writes)
        except ConditionFailed as failed:
            if has_proof and failed.index == 0:
                raise InvalidToken from None
            raise AccountChanging from None


def _announce(event: EventModel, subject: str, sequence: int, now: datetime) -> Write:
    return outbox.record(event, service="users", subject=subject, sequence=sequence, now=now)


def _announce_profile(user: User, now: datetime) -> Write:
    return _announce(ProfileChanged(user_id=user.user_id, name=user.name), user.user_id, user.version, now)


def _change_user(user: User, expression: str, values: Item, names: Mapping[str, str] = {}) -> Write:
    return update(
        f"USER#{user.user_id}",
        "USER",
        expression,
        "#version = :version",
        names={"#version": "version"} | dict(names),
        values=values | {":version": user.version, ":next": user.version + 1},
    )


def _begin_epoch(user: User, *, is_verified: bool = False, is_nameless: bool = False) -> Write:
    change = "SET session_epoch = :epoch, #version = :next"
    values: Item = {":epoch": user.session_epoch + 1}
    if is_verified:
        change, values[":yes"] = change + ", email_verified = :yes", True
    if is_nameless:
        change, values[":name"] = change + ", #name = :name", ""
    return _change_user(user, change, values, names={"#name": "name"} if is_nameless else {})


def _change_login(user: User, expression: str, values: Item) -> Write:
    return update(
        _login(user.email),
        "LOGIN",
        expression,
        "user_id = :user",
        values=values | {":user": user.user_id, ":epoch": user.session_epoch + 1},
    )


def _login_of(item: Item) -> Login:
    return Login(item["user_id"], item["password_hash"], item.get("session_epoch", 0), item.get("is_contested", False))


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
