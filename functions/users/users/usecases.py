"""The use cases of users, one function per verb."""

from __future__ import annotations

import secrets
from dataclasses import field
from datetime import datetime
from typing import Protocol

from mercato.dataclass import dataclass
from mercato.email_address import InvalidEmail, read_email
from mercato.events import EventModel
from mercato.ids import new_id
from mercato.store.dynamo import Write
from mercato.store.retry import retry_on_conflict
from mercato.telemetry.logs import log
from users.domain import (
    AccountChanging,
    EmailTaken,
    InvalidCredentials,
    Login,
    Role,
    User,
    UserNotFound,
    WeakPassword,
    WrongPassword,
    login_name,
    read_name,
)
from users.events import UserRegistered
from users.passwords import attempts as guessing
from users.passwords import common_passwords, hashing
from users.sessions.domain import (
    LIFETIME,
    Family,
    InvalidRefreshToken,
    NotNewest,
    RefreshToken,
    RefreshTokenReused,
    repeat_successor,
)
from users.wiring import Ports

_ATTEMPTS = 5


class Users(Protocol):
    def add(self, user: User, password_hash: str, event: UserRegistered) -> None: ...
    def announce_repetition(self, email: str, user_id: str, now: datetime, *, is_contested: bool) -> None: ...
    def find_login(self, email: str) -> Login | None: ...
    def replace_hash(self, email: str, old: str, new: str) -> None: ...
    def get(self, user_id: str) -> User: ...
    def rename(self, user: User, name: str, now: datetime) -> User: ...
    def set_role(self, user_id: str, role: Role) -> User: ...
    def announce(self, event: EventModel, subject: str, now: datetime) -> None: ...
    def verify_email(self, user: User, login: Login, proof: Write, now: datetime) -> None: ...
    def set_password(
        self, user: User, password_hash: str, now: datetime, proof: Write | None = None, *, is_contested: bool = False
    ) -> None: ...
    def end_sessions(self, user: User) -> None: ...
    def close(self, user: User, now: datetime) -> None: ...
    def take_role(self, user: User, now: datetime) -> None: ...


class Sessions(Protocol):
    def open(self, token: RefreshToken, user_id: str, session_epoch: int, expires_at: datetime) -> None: ...
    def rotate(self, token: RefreshToken, salt: str, now: datetime) -> Family: ...
    def revoke(self, family_id: str, now: datetime) -> None: ...


@dataclass(frozen=True)
class TokenPair:
    access: str = field(repr=False)
    refresh: str = field(repr=False)


def register(email: str, password: str, name: str, now: datetime, *, users: Users) -> None:
    """Does the same work whether or not the address has an account. Only the owner learns of it, by mail.

    A registration with the same password counts as a retry. One with another password makes the address contested: see
    `recovery.verify_email`.
    """
    user = User(new_id(now), read_email(email), read_name(name), Role.CUSTOMER, version=1, created_at=now)
    event = UserRegistered(user_id=user.user_id, email=user.email, name=user.name)
    check_strength(password, user)
    password_hash = hashing.hash_password(password)
    try:
        users.add(user, password_hash, event)
    except EmailTaken as taken:
        is_contested = not hashing.repeats_password(password, taken.login.password_hash)
        users.announce_repetition(user.email, taken.login.user_id, now, is_contested=is_contested)
    else:
        hashing.repeats_password(password)


def check_strength(password: str, user: User) -> None:
    if common_passwords.is_common(password, user.name, user.email, user.email.partition("@")[0]):
        raise WeakPassword


def log_in(
    email: str,
    password: str,
    network: str,
    ports: Ports,
    now: datetime,
) -> TokenPair:
    """Raises InvalidCredentials, after the same work, for an unknown address and for a wrong password, and
    TooManyAttempts for both. With the setting `verified_addresses_only`, raises InvalidCredentials also for the right
    password of an unverified account; otherwise registering and logging in would reveal whether the address was free.
    """
    users, attempts = ports.users, ports.attempts
    attempt = guessing.begin(login_name(email), network, now, attempts)
    login = _find_login(email, users)
    # Read before the password is checked; otherwise the right password of an unverified account would cost one more
    # read.
    user = _find_owner(login, users)
    password_hash = login.password_hash if login else hashing.UNMATCHABLE
    if not hashing.password_matches(password, password_hash) or login is None or user is None:
        raise InvalidCredentials
    if ports.api.verified_addresses_only and not user.email_verified:
        raise InvalidCredentials
    attempts.succeed(user.email, network, attempt, now)
    if hashing.is_outdated(password_hash):
        users.replace_hash(user.email, password_hash, hashing.hash_password(password))
    access, refresh = ports.tokens.issue(user, now), RefreshToken.make()
    ports.sessions.open(refresh, user.user_id, login.session_epoch, now + LIFETIME)
    return TokenPair(access, refresh.text)


def _find_owner(login: Login | None, users: Users) -> User | None:
    """Returns None also for an account that was closed in between."""
    try:
        return users.get(login.user_id if login else "nobody")
    except UserNotFound:
        return None


def _find_login(email: str, users: Users) -> Login | None:
    """Makes one read, also for a text that is no address."""
    try:
        return users.find_login(read_email(email))
    except InvalidEmail:
        return users.find_login("nobody@invalid")


def refresh(text: str, ports: Ports, now: datetime) -> TokenPair:
    """A new pair for a refresh token. After a failure past the rotation, a retry within the grace period gets the same
    successor.
    """
    token, sessions = RefreshToken.read(text), ports.sessions
    ports.tokens.prepare()
    salt = secrets.token_urlsafe(16)
    try:
        family, successor = sessions.rotate(token, salt, now), token.successor(salt)
    except NotNewest as refused:
        if refused.family is None:
            raise InvalidRefreshToken from None
        family, successor = refused.family, _repeat_or_revoke(refused.family, token, now, sessions)
    try:
        user = ports.users.get(family.user_id)
    except UserNotFound:
        raise InvalidRefreshToken from None
    if family.session_epoch != user.session_epoch:
        raise InvalidRefreshToken
    return TokenPair(ports.tokens.issue(user, now), successor.text)


def _repeat_or_revoke(family: Family, token: RefreshToken, now: datetime, sessions: Sessions) -> RefreshToken:
    try:
        return repeat_successor(family, token, now)
    except RefreshTokenReused:
        sessions.revoke(family.family_id, now)
        log.warning("a refresh token was reused; its session is revoked", extra={"user_id": family.user_id})
        raise


def log_out(text: str, now: datetime, *, sessions: Sessions) -> None:
    """Ends the token's session. Idempotent, also for an unknown session."""
    try:
        token = RefreshToken.read(text)
    except InvalidRefreshToken:
        return
    sessions.revoke(token.family_id, now)


def log_out_everywhere(user_id: str, *, users: Users) -> None:
    """Retries if the account changed in between."""
    retry_on_conflict(lambda: users.get(user_id), users.end_sessions, conflict=AccountChanging, attempts=_ATTEMPTS)


def change_password(user_id: str, current: str, new: str, network: str, ports: Ports, now: datetime) -> None:
    """Ends every session, the caller's included: the next log-in needs the new password. Raises WrongPassword."""
    user = _check_owner(user_id, current, network, ports, now)
    check_strength(new, user)
    ports.users.set_password(user, hashing.hash_password(new), now)


def close_account(user_id: str, password: str, network: str, ports: Ports, now: datetime) -> None:
    """Ends the account and its sessions. Raises WrongPassword."""
    ports.users.close(_check_owner(user_id, password, network, ports, now), now)


def _check_owner(user_id: str, password: str, network: str, ports: Ports, now: datetime) -> User:
    """Counts guesses with a stolen access token like guesses at the log-in. Reads the user before the hash, so that the
    following write fails if the password changes between the two.
    """
    user = ports.users.get(user_id)
    attempt = guessing.begin(user.email, network, now, ports.attempts)
    login = ports.users.find_login(user.email)
    if login is None or not hashing.password_matches(password, login.password_hash):
        raise WrongPassword
    ports.attempts.succeed(user.email, network, attempt, now)
    return user


def rename(user_id: str, name: str, now: datetime, *, users: Users) -> User:
    """Retries if the account changed in between. The same name changes nothing."""
    name = read_name(name)

    def write(user: User) -> User:
        return user if user.name == name else users.rename(user, name, now)

    return retry_on_conflict(lambda: users.get(user_id), write, conflict=AccountChanging, attempts=_ATTEMPTS)


def promote(users: Users, email: str) -> User:
    """Makes the account with this address an admin, for an operator. Raises UserNotFound."""
    return users.set_role(_owner_of(email, users), Role.ADMIN)


def demote(users: Users, email: str, now: datetime) -> User:
    """Makes the account with this address a customer's, for an operator, and ends its sessions and access tokens. A
    repeated call ends those made since. Raises UserNotFound.
    """

    def take_role(user: User) -> User:
        users.take_role(user, now)
        return user

    return retry_on_conflict(
        lambda: users.get(_owner_of(email, users)), take_role, conflict=AccountChanging, attempts=_ATTEMPTS
    )


def _owner_of(email: str, users: Users) -> str:
    login = users.find_login(read_email(email))
    if login is None:
        raise UserNotFound(f"There is no account with the address {email}.")
    return login.user_id


def find_by_email(email: str, *, users: Users) -> User:
    """The account whose address this is, in any spelling of it. Raises UserNotFound, and InvalidEmail."""
    login = users.find_login(read_email(email))
    if login is None:
        raise UserNotFound("There is no account with this e-mail address.")
    return users.get(login.user_id)
