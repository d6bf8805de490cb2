"""The parts of the service, each imported, and made from the environment, at its first use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from mercato.config import load
from mercato.dataclass import dataclass

if TYPE_CHECKING:
    from mercato.aws.mail import Mailer
    from mercato.store.dynamo import Table
    from users.one_time_store import OneTimeStore
    from users.passwords.attempt_store import AttemptStore
    from users.sessions.access_tokens import AccessTokens
    from users.sessions.store import SessionStore
    from users.signing_keys.cached import Cached
    from users.signing_keys.store import KeyStore
    from users.store import UserStore

PUBLIC_KEYS_FRESH = 300  # seconds


@dataclass(frozen=True)
class Settings:
    table_name: str
    rate_limits_table: str = ""


@dataclass(frozen=True)
class KeySettings:
    keys_secret_id: str
    jwks_parameter: str


@dataclass(frozen=True)
class ApiSettings:
    issuer: str
    audience: str
    verified_addresses_only: bool = True


@dataclass(frozen=True)
class MailSettings:
    """For the consumer, which alone sends e-mail."""

    from_address: str
    mail_configuration_set: str
    shop_url: str


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def api(self) -> ApiSettings:
        return load(ApiSettings)

    @functools.cached_property
    def mail(self) -> MailSettings:
        return load(MailSettings)

    @functools.cached_property
    def table(self) -> Table:
        from mercato.store.dynamo import Table

        return Table(self.settings.table_name)

    @functools.cached_property
    def users(self) -> UserStore:
        from users.store import UserStore

        return UserStore(self.table, self.settings.rate_limits_table)

    @functools.cached_property
    def sessions(self) -> SessionStore:
        from users.sessions.store import SessionStore

        return SessionStore(self.table)

    @functools.cached_property
    def attempts(self) -> AttemptStore:
        from users.passwords.attempt_store import AttemptStore

        return AttemptStore(self.table)

    @functools.cached_property
    def one_time(self) -> OneTimeStore:
        from users.one_time_store import OneTimeStore

        return OneTimeStore(self.table)

    @functools.cached_property
    def keys(self) -> KeyStore:
        from users.signing_keys.store import KeyStore

        settings = load(KeySettings)
        return KeyStore(settings.keys_secret_id, settings.jwks_parameter)

    @functools.cached_property
    def tokens(self) -> AccessTokens:
        from users.sessions.access_tokens import AccessTokens

        return AccessTokens(self.keys, self.api.issuer, self.api.audience)

    @functools.cached_property
    def public_keys(self) -> Cached[dict[str, Any]]:
        from users.signing_keys.cached import Cached

        return Cached(self.keys.published, PUBLIC_KEYS_FRESH)

    @functools.cached_property
    def mailer(self) -> Mailer:
        from mercato.aws.mail import SesMailer

        return SesMailer(self.mail.from_address, self.mail.mail_configuration_set)


@functools.cache
def ports() -> Ports:
    return Ports()
