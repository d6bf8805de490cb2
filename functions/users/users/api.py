"""Accounts, log-in and the public keys, over HTTP.

POST routes have no authorizer, since people log in there. So every route that needs a token is a PUT, PATCH or DELETE.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr

from mercato.clock import utc_now
from mercato.email_address import InvalidEmail
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PEER,
    PUBLIC,
    UNLIMITED,
    WATCH,
    AcceptedForMail,
    App,
    Body,
    Limit,
    NoContent,
    Query,
    Response,
    SourceAddress,
    View,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.http.rate_limit import network_of
from mercato.text import EmailAddress, PersonName
from users import recovery, usecases
from users.domain import Role, User, UserNotFound
from users.passwords.hashing import MAX_LENGTH, MIN_LENGTH
from users.sessions.access_tokens import LIFETIME
from users.wiring import PUBLIC_KEYS_FRESH, ports

# A shop's front end, behind one address, may register and log in many users. Password resets are rare.
REGISTRATION = Limit("registration", one_in=5)
LOG_IN = Limit("log-in", one_in=5)
RESET = Limit("password-reset", requests=5)
RESET_CONFIRM = Limit("password-reset-confirm", requests=10)
VERIFICATION_MAIL = Limit("verification-mail", requests=5)
VERIFY = Limit("verify-email", requests=20)
OWN_PASSWORD = Limit("own-password", requests=10)

app = App("users", health=table_and_queue)
handler = app.handler


NewPassword = Annotated[SecretStr, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
HeldPassword = Annotated[SecretStr, Field(max_length=MAX_LENGTH)]
MailedToken = Annotated[SecretStr, Field(max_length=128)]


class Registration(Body):
    email: EmailAddress
    password: NewPassword
    name: Annotated[PersonName, Field(examples=["Ada Lovelace"])]


class Credentials(Body):
    email: EmailAddress
    password: HeldPassword


class PasswordChange(Body):
    current_password: HeldPassword
    new_password: NewPassword


class Closure(Body):
    password: HeldPassword


class ResetRequest(Body):
    email: EmailAddress


class Reset(Body):
    token: MailedToken
    new_password: NewPassword


class UsersQuery(Query):
    email: EmailAddress


class Lookup(Body):
    email: EmailAddress


class Verification(Body):
    token: MailedToken


class HeldToken(Body):
    refresh_token: Annotated[SecretStr, Field(max_length=128)]


class Profile(Body):
    name: Annotated[PersonName, Field(examples=["Ada King"])]


class UserView(View):
    user_id: str
    email: str
    name: str
    role: Role
    email_verified: bool

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            role=user.role,
            email_verified=user.email_verified,
        )


class UsersView(View):
    """The account with the address, if there is one."""

    items: list[UserView]


class RegisteredView(View):
    """The response is the same whether or not the address had an account."""

    detail: str = "We have sent a mail to this address. Please open the link in it."


class SentView(View):
    """The response is the same whether or not the address has an account."""

    detail: str = "If there is an account with this address, we have sent a link to it. It works for 30 minutes."


class TokensView(View):
    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the kind of token, not one
    expires_in: int = int(LIFETIME.total_seconds())

    @classmethod
    def of(cls, pair: usecases.TokenPair) -> Self:
        return cls(access_token=pair.access, refresh_token=pair.refresh)


@app.post("/api/users", role=PUBLIC, limit=REGISTRATION)
def register(body: Registration) -> AcceptedForMail[RegisteredView]:
    usecases.register(body.email, body.password.get_secret_value(), body.name, utc_now(), users=ports().users)
    return AcceptedForMail(RegisteredView())


@app.post("/api/users/login", role=PUBLIC, limit=LOG_IN)
def log_in(body: Credentials, source: SourceAddress) -> TokensView:
    password = body.password.get_secret_value()
    return TokensView.of(usecases.log_in(body.email, password, network_of(source), ports(), utc_now()))


@app.post("/api/users/token/refresh", role=PUBLIC)
def refresh(body: HeldToken) -> TokensView:
    return TokensView.of(usecases.refresh(body.refresh_token.get_secret_value(), ports(), utc_now()))


@app.post("/api/users/logout", role=PUBLIC)
def log_out(body: HeldToken) -> NoContent:
    usecases.log_out(body.refresh_token.get_secret_value(), utc_now(), sessions=ports().sessions)
    return NoContent()


@app.post("/api/users/verify-email", role=PUBLIC, limit=VERIFY)
def verify_email(body: Verification) -> NoContent:
    recovery.verify_email(body.token.get_secret_value(), utc_now(), users=ports().users)
    return NoContent()


@app.post("/api/users/password-reset", role=PUBLIC, limit=RESET)
def request_reset(body: ResetRequest) -> AcceptedForMail[SentView]:
    recovery.request_reset(body.email, utc_now(), users=ports().users)
    return AcceptedForMail(SentView())


@app.post("/api/users/password-reset/confirm", role=PUBLIC, limit=RESET_CONFIRM)
def reset_password(body: Reset, source: SourceAddress) -> NoContent:
    token, password = body.token.get_secret_value(), body.new_password.get_secret_value()
    recovery.reset_password(token, password, network_of(source), ports(), utc_now())
    return NoContent()


@app.put("/api/users/me/password", role=CUSTOMER, limit=OWN_PASSWORD)
def change_password(body: PasswordChange, caller: Caller, source: SourceAddress) -> NoContent:
    current, new = body.current_password.get_secret_value(), body.new_password.get_secret_value()
    usecases.change_password(caller.user_id, current, new, network_of(source), ports(), utc_now())
    return NoContent()


@app.put("/api/users/me/email-verification", role=CUSTOMER, limit=VERIFICATION_MAIL)
def request_verification(caller: Caller) -> AcceptedForMail[None]:
    recovery.request_verification(caller.user_id, utc_now(), users=ports().users)
    return AcceptedForMail(None)


@app.delete("/api/users/me/sessions", role=CUSTOMER)
def log_out_everywhere(caller: Caller) -> NoContent:
    usecases.log_out_everywhere(caller.user_id, users=ports().users)
    return NoContent()


@app.put("/api/users/me/closure", role=CUSTOMER, limit=OWN_PASSWORD)
def close_account(body: Closure, caller: Caller, source: SourceAddress) -> NoContent:
    password = body.password.get_secret_value()
    usecases.close_account(caller.user_id, password, network_of(source), ports(), utc_now())
    return NoContent()


@app.get("/api/users/me", role=CUSTOMER, limit=WATCH)
def show_me(caller: Caller) -> UserView:
    return UserView.of(ports().users.get(caller.user_id))


@app.patch("/api/users/me", role=CUSTOMER)
def change_me(body: Profile, caller: Caller) -> UserView:
    return UserView.of(usecases.rename(caller.user_id, body.name, utc_now(), users=ports().users))


@app.get("/api/users", role=ADMIN)
def list_users(query: UsersQuery) -> UsersView:
    """Finds the account of an e-mail address, which must be given whole. An address without an account finds none."""
    try:
        found = [usecases.find_by_email(query.email, users=ports().users)]
    except UserNotFound:
        found = []
    return UsersView(items=[UserView.of(user) for user in found])


@app.post("/api/users/lookup", role=PEER)
def look_up_user(body: Lookup) -> UserView:
    """Finds the account of an e-mail address, for a peer. The address is in the body, since paths are in logs. What is
    no address has no account.
    """
    try:
        return UserView.of(usecases.find_by_email(body.email, users=ports().users))
    except InvalidEmail as error:
        raise UserNotFound(error.detail) from error


@app.get("/api/users/{user_id}", role=(PEER, ADMIN))
def show_user(user_id: str) -> UserView:
    return UserView.of(ports().users.get(user_id))


@app.get("/api/.well-known/jwks.json", role=PUBLIC, limit=UNLIMITED)
def show_public_keys() -> Response[dict[str, Any]]:
    return Response(ports().public_keys.get(), headers={"Cache-Control": f"public, max-age={PUBLIC_KEYS_FRESH}"})
