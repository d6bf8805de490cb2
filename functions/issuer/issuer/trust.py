"""The trust store, a PEM object in S3: the authorities whose leaves the ingress admits. It is told of versions."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from issuer.authority import issued_at
from mercato import aws
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.telemetry.logs import log

KEY = "authorities.pem"


@dataclass(frozen=True)
class Bundle:
    """Authorities, the newest last. `tag` and `version` identify the stored object; empty before the first one."""

    authorities: tuple[x509.Certificate, ...] = ()
    tag: str = ""
    version: str = ""

    @property
    def newest(self) -> x509.Certificate | None:
        return self.authorities[-1] if self.authorities else None

    def to_pem(self) -> str:
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in self.authorities)


class TrustStore:
    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket}/{KEY}"

    def load(self) -> Bundle:
        try:
            answer = aws.client("s3").get_object(Bucket=self._bucket, Key=KEY)
            text = answer["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise TransientError(f"reading the trust store: {error}") from error
            return Bundle()
        except BotoCoreError as error:
            raise TransientError(f"reading the trust store: {error}") from error
        found = sorted(x509.load_pem_x509_certificates(text), key=issued_at)
        return Bundle(tuple(found), answer["ETag"], answer.get("VersionId", ""))

    def replace(self, bundle: Bundle, authorities: tuple[x509.Certificate, ...]) -> Bundle:
        """Replaces the loaded `bundle`. If another run was first, returns what that has stored."""
        condition = {"IfMatch": bundle.tag} if bundle.tag else {"IfNoneMatch": "*"}
        wanted = Bundle(authorities)
        try:
            answer = aws.client("s3").put_object(
                Bucket=self._bucket,
                Key=KEY,
                Body=wanted.to_pem().encode(),
                ContentType="application/x-pem-file",
                **condition,
            )
        except ClientError as error:
            # 409: S3 saw two conditional writes at once.
            if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise TransientError(f"writing the trust store: {error}") from error
            return self.load()
        except BotoCoreError as error:
            raise TransientError(f"writing the trust store: {error}") from error
        return Bundle(authorities, answer["ETag"], answer.get("VersionId", ""))


class Ingress:
    """The domain that demands client certificates. It reads the trust store only when it is told of a version."""

    def __init__(self, domain: str, uri: str) -> None:
        self._domain = domain
        self._uri = uri

    def trusts(self, version: str) -> bool:
        """Whether the ingress uses this version of the trust store. If not, tells it to; a later run then finds it so.

        A shop without a domain has none to tell: its ingress on this machine reads the store itself.
        """
        if not self._domain:
            return True
        client = aws.client("apigatewayv2")
        try:
            found = client.get_domain_name(DomainName=self._domain)
            known = found.get("MutualTlsAuthentication", {})
            if known.get("TruststoreVersion") == version:
                for warning in known.get("TruststoreWarnings", []):
                    log.warning("the ingress warns of its trust store", extra={"reason": warning})
                return all(one.get("DomainNameStatus") == "AVAILABLE" for one in found["DomainNameConfigurations"])
            client.update_domain_name(
                DomainName=self._domain,
                MutualTlsAuthentication={"TruststoreUri": self._uri, "TruststoreVersion": version},
            )
        except client.exceptions.NotFoundException:
            # The stack makes the authority first.
            log.info("there is no ingress yet", extra={"domain": self._domain})
            return False
        except (ClientError, BotoCoreError) as error:
            raise TransientError(f"telling {self._domain} of the trust store: {error}") from error
        log.info("the ingress was told of the trust store", extra={"version": version})
        return False
