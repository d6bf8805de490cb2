"""Accounts, log-in and the public keys, over HTTP."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from mercato import config
from mercato.auth import Caller
from mercato.clock import utc_now
from mercato.dynamo import Table
from mercato.http import ADMIN, CUSTOMER, PEER, PUBLIC, App, Body, Created, NoContent, Response, View
from users import usecases
from users.cached import Cached
from users.domain import MAX_EMAIL, MAX_NAME, Role, User
from users.keystore import KeyStore
from users.passwords import MAX_LENGTH, MIN_LENGTH
from users.store import SessionStore, UserStore
from users.tokens import LIFETIME, AccessTokens

_PUBLIC_KEYS_FRESH = 300

app = App("users")
handler = app.handler


@dataclass(frozen=True)
class Settings:
    table_name: str
    keys_secret_id: str
    jwks_parameter: str
    issuer: str
    audience: str


@dataclass(frozen=True)
class Ports:
    users: UserStore
    sessions: SessionStore
    tokens: AccessTokens
    public_keys: Cached[dict[str, Any]]


@functools.cache
def ports() -> Ports:
    settings = config.load(Settings)
    table, keys = Table(settings.table_name), KeyStore(settings.keys_secret_id, settings.jwks_parameter)
    return Ports(
        users=UserStore(table),
        sessions=SessionStore(table),
        tokens=AccessTokens(keys, settings.issuer, settings.audience),
        public_keys=Cached(keys.published, _PUBLIC_KEYS_FRESH),
    )


class Registration(Body):
    email: Annotated[str, Field(max_length=MAX_EMAIL, examples=["ada@example.com"])]
    password: Annotated[SecretStr, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
    name: Annotated[str, Field(max_length=MAX_NAME, examples=["Ada Lovelace"])]


class Credentials(Body):
    email: Annotated[str, Field(max_length=MAX_EMAIL, examples=["ada@example.com"])]
    password: Annotated[SecretStr, Field(max_length=MAX_LENGTH)]


class HeldToken(Body):
    refresh_token: Annotated[SecretStr, Field(max_length=128)]


class Profile(Body):
    name: Annotated[str, Field(max_length=MAX_NAME, examples=["Ada King"])]


class UserView(View):
    user_id: str
    email: str
    name: str
    role: Role

    @classmethod
    def of(cls, user: User) -> UserView:
        return cls(user_id=user.user_id, email=user.email, name=user.name, role=user.role)


class TokensView(View):
    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the kind of token, not one
    expires_in: int = int(LIFETIME.total_seconds())

    @classmethod
    def of(cls, pair: usecases.TokenPair) -> TokensView:
        return cls(access_token=pair.access, refresh_token=pair.refresh)


@app.post("/api/users", role=PUBLIC)
def register(body: Registration) -> Response[UserView]:
    password = body.password.get_secret_value()
    user = usecases.register(body.email, password, body.name, utc_now(), users=ports().users)
    return Created(UserView.of(user), location=f"/api/users/{user.user_id}")


@app.post("/api/users/login", role=PUBLIC)
def log_in(body: Credentials) -> TokensView:
    to, password = ports(), body.password.get_secret_value()
    pair = usecases.log_in(body.email, password, utc_now(), users=to.users, sessions=to.sessions, tokens=to.tokens)
    return TokensView.of(pair)


@app.post("/api/users/token/refresh", role=PUBLIC)
def refresh(body: HeldToken) -> TokensView:
    to, token = ports(), body.refresh_token.get_secret_value()
    return TokensView.of(usecases.refresh(token, utc_now(), users=to.users, sessions=to.sessions, tokens=to.tokens))


@app.post("/api/users/logout", role=PUBLIC)
def log_out(body: HeldToken) -> Response[None]:
    usecases.log_out(body.refresh_token.get_secret_value(), utc_now(), sessions=ports().sessions)
    return NoContent()


@app.get("/api/users/me", role=CUSTOMER)
def show_me(caller: Caller) -> UserView:
    return UserView.of(ports().users.get(caller.user_id))


@app.patch("/api/users/me", role=CUSTOMER)
def change_me(body: Profile, caller: Caller) -> UserView:
    return UserView.of(usecases.rename(caller.user_id, body.name, users=ports().users))


@app.get("/api/users/{user_id}", role=(PEER, ADMIN))
def show_user(user_id: str) -> UserView:
    return UserView.of(ports().users.get(user_id))


@app.get("/api/.well-known/jwks.json", role=PUBLIC)
def show_public_keys() -> Response[dict[str, Any]]:
    return Response(ports().public_keys.get(), headers={"Cache-Control": f"public, max-age={_PUBLIC_KEYS_FRESH}"})
