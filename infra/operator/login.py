"""Keeps an admin's log-in to a shop on AWS between commands.

`mercato --stack … login` asks for the password and stores the tokens, not the password, in a file that only its user
may read. A refresh token can be used once, so concurrent commands take a lock, and each stores the new tokens.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import httpx

from infra.operator import target
from infra.operator.client import Refused, Shop, ShopError

_REFRESH_BEFORE = 60  # seconds


class LoginNeeded(click.ClickException):
    """There is no log-in to this shop, or it has expired. The command exits with 2."""

    exit_code = 2

    def __init__(self, stack: str, why: str) -> None:
        super().__init__(f"{why}: mercato --stack {stack} login")


class StoredLogin:
    """The tokens for one stack, in a file of the user's configuration folder."""

    def __init__(self, shop: target.Target, transport: httpx.BaseTransport | None = None) -> None:
        self._stack = shop.stack
        self._shop = Shop(shop.base_url, transport=transport)
        self._file = Path(click.get_app_dir("mercato")) / f"{shop.stack}.{shop.region}.json"

    def log_in(self, email: str, password: str) -> None:
        """Logs in and stores the tokens. Raises Refused, also if the account is not an admin's."""
        tokens = self._shop.call("POST", "/users/login", {"email": email, "password": password}, safe=True)
        try:
            self._shop.call("GET", "/ops/services", token=tokens["access_token"])  # only admins may call this
        except Refused:
            with contextlib.suppress(ShopError):  # the operator must see the refusal, not this error
                self._shop.call("POST", "/users/logout", {"refresh_token": tokens["refresh_token"]}, safe=True)
            raise
        with self._locked():
            self._keep(tokens)

    def log_out(self) -> None:
        """Ends the session in the shop and deletes the stored tokens."""
        with self._locked():
            kept = self._read()
            if kept:
                self._shop.call("POST", "/users/logout", {"refresh_token": kept["refresh_token"]}, safe=True)
            self._file.unlink(missing_ok=True)

    def access_token(self) -> str:
        """Returns a token that is valid for at least another minute. Refreshes it if necessary. Raises LoginNeeded."""
        with self._locked():
            kept = self._read()
            if kept is None:
                raise LoginNeeded(self._stack, "there is no log-in to this shop")
            if kept["ends"] - _REFRESH_BEFORE < time.time():
                try:
                    tokens = self._shop.call("POST", "/users/token/refresh", {"refresh_token": kept["refresh_token"]})
                except Refused as refused:
                    raise LoginNeeded(self._stack, f"the log-in has ended ({refused.slug})") from None
                kept = self._keep(tokens)
            token: str = kept["access_token"]
            return token

    def get(self, path: str, **params: str | int) -> Any:
        return self._call("GET", f"{path}?{urlencode(params)}" if params else path)

    def post(self, path: str, body: Any = None) -> Any:
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            return self._shop.call(method, path, body, token=self.access_token())
        except Refused as refused:
            if refused.status == 401:
                raise LoginNeeded(self._stack, "the shop does not take the log-in any more") from None
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return found

    def _keep(self, tokens: dict[str, Any]) -> dict[str, Any]:
        """Stores the tokens atomically, because a lost refresh token ends the log-in."""
        kept = {
            "access_token": tokens["access_token"],
            "refresh_token": tokens["refresh_token"],
            "ends": time.time() + int(tokens["expires_in"]),
        }
        draft = self._file.with_suffix(f".{os.getpid()}.tmp")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(kept))
        draft.replace(self._file)
        return kept


@click.command()
@click.option("--email", prompt="Admin's e-mail address", help="The admin's e-mail address.")
@click.option("--password", prompt=True, hide_input=True, envvar="MERCATO_PASSWORD", help="The admin's password.")
def login(email: str, password: str) -> None:
    """Log in as an admin to the shop that `mercato --stack` names. Other commands then work on it.

    The tokens are kept in your configuration folder, the password is not. `mercato --stack … logout` forgets them.
    """
    shop = _of_a_stack()
    try:
        StoredLogin(shop).log_in(email, password)
    except Refused as refused:
        raise click.ClickException(refused.detail or str(refused)) from None
    except ShopError as error:
        raise target.NoShop(f"the shop at {shop.base_url} does not answer as it should ({error})") from None
    click.echo(f"logged in to {shop.stack} at {shop.base_url}")


@click.command()
def logout() -> None:
    """End the log-in to the shop that `mercato --stack` names."""
    shop = _of_a_stack()
    try:
        StoredLogin(shop).log_out()
    except ShopError as error:
        raise target.NoShop(f"the shop at {shop.base_url} does not answer as it should ({error})") from None
    click.echo(f"logged out of {shop.stack}")


def _of_a_stack() -> target.Target:
    if not target.choice.stack:
        raise click.UsageError(
            "name the shop: mercato --stack ‹stack› login. The shop of `mercato up` needs no log-in."
        )
    return target.chosen()
