"""The mesh's certificate authority: its key stays in KMS, which signs what `cryptography` builds."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NoReturn

from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mercato import aws
from mercato.errors import TransientError

LIFE = timedelta(hours=24)  # of a leaf
AUTHORITY_LIFE = timedelta(days=5 * 365)
SKEW = timedelta(minutes=5)  # by which a verifier's clock may be behind
INGRESS = "ingress"  # the identity of the local ingress, which alone is a server
_MOST = 4096  # bytes that KMS hashes itself


class KmsKey(ec.EllipticCurvePrivateKey):
    """A private key on P-256 that never leaves KMS. It signs, and has nothing to export."""

    def __init__(self, key_id: str) -> None:
        self._key_id = key_id

    @functools.cached_property
    def _public(self) -> ec.EllipticCurvePublicKey:
        with _as_transient("reading the authority's public key"):
            answer = aws.client("kms").get_public_key(KeyId=self._key_id)
        found = serialization.load_der_public_key(answer["PublicKey"])
        if not isinstance(found, ec.EllipticCurvePublicKey) or not isinstance(found.curve, ec.SECP256R1):
            raise UnsupportedAlgorithm(f"the key {self._key_id} is not on P-256")
        return found

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sends the message itself, and KMS hashes it, so that nobody has to agree on whose digest it is."""
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, utils.Prehashed) or not isinstance(algorithm, hashes.SHA256):
            raise UnsupportedAlgorithm("the authority signs with SHA-256 only")
        if len(data) > _MOST:
            raise UnsupportedAlgorithm(f"KMS hashes at most {_MOST} bytes, and the certificate has {len(data)}")
        with _as_transient("signing a certificate"):
            answer = aws.client("kms").sign(
                KeyId=self._key_id, Message=bytes(data), MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
            )
        signature: bytes = answer["Signature"]
        return signature

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        _stays_in_kms()

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        _stays_in_kms()

    def private_bytes(self, *_: Any, **__: Any) -> bytes:
        _stays_in_kms()

    def __copy__(self) -> KmsKey:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> KmsKey:
        return self


def _stays_in_kms() -> NoReturn:
    raise UnsupportedAlgorithm("the authority's key stays in KMS and signs only")


def make_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """Its name is made of its key, so that two authorities in one trust store never have the same."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"mercato mesh {identifier.digest.hex()[:16]}")
    built = (
        _certificate(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    return built.sign(key, hashes.SHA256())


def issue(
    authority: x509.Certificate, key: ec.EllipticCurvePrivateKey, service: str, spiffe_id: str, now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Returns a leaf and its new private key. The subject is the service's name alone, which callees compare."""
    own = ec.generate_private_key(ec.SECP256R1())
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    usage = ExtendedKeyUsageOID.SERVER_AUTH if service == INGRESS else ExtendedKeyUsageOID.CLIENT_AUTH
    built = (
        _certificate(_name(service), authority.subject, own.public_key(), now, LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        # Python 3.13 and later refuse a leaf without it.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return built.sign(key, hashes.SHA256()), own


def issued_at(certificate: x509.Certificate) -> datetime:
    return certificate.not_valid_before_utc + SKEW


def is_key_of(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    return certificate.public_key() == key.public_key()


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    now = now.replace(microsecond=0)  # a certificate has whole seconds
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


@contextmanager
def _as_transient(what: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise TransientError(f"{what}: {error}") from error
