"""Rotates the certificates of a shop's mesh while it is used: each leaf grows old, and the issuer renews it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509

from infra.local.cloud import Cloud
from infra.local.stack import Stack
from infra.mesh.certificates import renew
from infra.operator.target import State
from infra.trouble import Trouble
from issuer.authority import KmsKey, issue
from issuer.identities import Identity, IdentitySecret
from mercato.clock import utc_now
from mercato.errors import TransientError
from tests.chaos.repeated import Repeated

# The issuer renews leaves of six hours, and a sidecar with one of twelve hours looks for a new one each minute.
_OLD = timedelta(hours=13)


class Rotation(Repeated):
    """Every `every` seconds, from `start` to `stop`, puts a leaf of 13 hours, which the mesh's own authority has
    signed, in the place of each, and runs the issuer. `outcomes` counts what it did; a run that fails is repeated.

    It signs with the shop's key, so AWS's variables of this process must lead to the local cloud.
    """

    def __init__(self, cloud: Cloud, shop: State, every: float) -> None:
        super().__init__(every)
        function = Stack.read(cloud).functions["MeshIssuer"]
        found = cloud.client("lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        self._key = KmsKey(found["AUTHORITY_KEY_ID"])
        pairs = (one.partition("=") for one in found["IDENTITIES"].split(","))
        self._secrets = {service: IdentitySecret(secret) for service, _, secret in pairs}
        self._domain = found["TRUST_DOMAIN"]
        self._shop = shop
        self.outcomes: Counter[str] = Counter()

    def act(self) -> None:
        try:
            self._age()
            self.outcomes.update(renew(self._shop).values())
        except (TransientError, Trouble, ClientError, BotoCoreError):
            self.outcomes["failed"] += 1

    def _age(self) -> None:
        for service, secret in self._secrets.items():
            stored = secret.load()
            assert stored.identity is not None, "the deploy issues the first ones"
            trusted = stored.identity.authorities
            authority = x509.load_pem_x509_certificates(trusted.encode())[-1]
            leaf, key = issue(authority, self._key, service, f"spiffe://{self._domain}/{service}", utc_now() - _OLD)
            secret.replace(Identity.make(leaf, key, trusted), stored.version)
