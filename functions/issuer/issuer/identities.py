"""The callers' identities: one secret for each, which only that caller's role may read."""

from __future__ import annotations

import json
from dataclasses import field
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mercato import aws
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.ids import derived_id


@dataclass(frozen=True)
class Identity:
    """A leaf, its private key, and the authorities that the caller trusts, all as PEM."""

    certificate: str
    key: str = field(repr=False)
    authorities: str

    @classmethod
    def make(cls, leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey, authorities: str) -> Identity:
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return cls(leaf.public_bytes(Encoding.PEM).decode(), private, authorities)

    @property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    def to_json(self) -> str:
        """`ends_at` spares the callers a parser of certificates."""
        ends_at = int(self.leaf.not_valid_after_utc.timestamp())
        found = {"certificate": self.certificate, "key": self.key, "authorities": self.authorities, "ends_at": ends_at}
        return json.dumps(found)

    @classmethod
    def from_json(cls, text: str) -> Identity | None:
        """None for an empty text or document, as in a new secret."""
        found: dict[str, str] = json.loads(text or "{}")
        return cls(found["certificate"], found["key"], found["authorities"]) if found else None


@dataclass(frozen=True)
class Stored:
    """`version` identifies the stored value; empty if there is none."""

    identity: Identity | None
    version: str

    def ends_at(self) -> datetime | None:
        return self.identity.leaf.not_valid_after_utc if self.identity else None


class IdentitySecret:
    def __init__(self, secret_id: str) -> None:
        self._secret_id = secret_id

    def load(self) -> Stored:
        try:
            answer = aws.client("secretsmanager").get_secret_value(SecretId=self._secret_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise TransientError(f"reading an identity: {error}") from error
            return Stored(None, "")  # the secret exists from the first deploy on, but has no value yet
        except BotoCoreError as error:
            raise TransientError(f"reading an identity: {error}") from error
        return Stored(Identity.from_json(answer.get("SecretString", "")), answer["VersionId"])

    def replace(self, identity: Identity, version: str) -> bool:
        """Replaces `version`. Returns False if another run was first: the new version's id is derived from the replaced
        one, and Secrets Manager refuses a second value for one id.
        """
        try:
            aws.client("secretsmanager").put_secret_value(
                SecretId=self._secret_id,
                SecretString=identity.to_json(),
                ClientRequestToken=derived_id("mesh-identity", self._secret_id, version),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceExistsException":
                raise TransientError(f"writing an identity: {error}") from error
            return False
        except BotoCoreError as error:
            raise TransientError(f"writing an identity: {error}") from error
        return True
