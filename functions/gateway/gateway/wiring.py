"""The parts of the service, each imported, and made from the environment, at its first use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mercato.config import load
from mercato.dataclass import dataclass

if TYPE_CHECKING:
    from gateway.access import Verifier
    from mercato.peers.client import ServiceClient


@dataclass(frozen=True)
class Settings:
    """For the authorizer, which alone verifies tokens. The template's Globals set `rate_limits_table` for all
    functions.
    """

    jwks_parameter: str
    issuer: str
    audience: str
    rate_limits_table: str = ""


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def verifier(self) -> Verifier:
        from gateway.access import Verifier
        from gateway.keyring import Keyring, fetch_parameter

        settings = self.settings
        keys = Keyring(lambda: fetch_parameter(settings.jwks_parameter))
        return Verifier(keys, settings.issuer, settings.audience)

    def peer(self, name: str) -> ServiceClient:
        from mercato.peers.peer import peer

        return peer(name)


@functools.cache
def ports() -> Ports:
    return Ports()
