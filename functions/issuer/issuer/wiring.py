"""The parts of the service, each imported, and made from the environment, at its first use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mercato.config import load
from mercato.dataclass import dataclass

if TYPE_CHECKING:
    from issuer.identities import IdentitySecret
    from issuer.renewal import Issuer


@dataclass(frozen=True)
class Settings:
    """`identities` is `<service>=<secret>,…`. `mesh_domain` is empty where the ingress is on this machine."""

    authority_key_id: str
    trust_bucket: str
    trust_domain: str
    identities: str
    mesh_domain: str = ""


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def issuer(self) -> Issuer:
        from issuer.authority import KmsKey
        from issuer.renewal import Issuer
        from issuer.trust import Ingress, TrustStore

        store = TrustStore(self.settings.trust_bucket)
        ingress = Ingress(self.settings.mesh_domain, store.uri)
        return Issuer(KmsKey(self.settings.authority_key_id), store, ingress, self.settings.trust_domain)

    @functools.cached_property
    def secrets(self) -> dict[str, IdentitySecret]:
        from issuer.identities import IdentitySecret

        pairs = (one.partition("=") for one in self.settings.identities.split(","))
        return {service: IdentitySecret(secret_id) for service, _, secret_id in pairs}


@functools.cache
def ports() -> Ports:
    return Ports()
