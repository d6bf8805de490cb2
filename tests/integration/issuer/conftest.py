"""The issuer in an empty AWS account: its key, its trust store, its secrets, and a clock that the test sets."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from moto.apigatewayv2.models import apigatewayv2_backends
from moto.core.botocore_stubber import BotocoreStubber

from issuer import renewal, wiring
from issuer.trust import KEY
from mercato import aws
from tests.kit import aws_events

CALLERS = ("carts", "orders", "ops")
BUCKET, DOMAIN = "shop-trust", "mesh.shop.example"
URI = f"s3://{BUCKET}/{KEY}"


class Authorities:
    """Runs the issuer, and looks at what it has stored."""

    def __init__(self, now: datetime, patch: pytest.MonkeyPatch) -> None:
        self.now = now
        self._patch = patch
        patch.setattr(renewal, "utc_now", lambda: self.now)

    def wait(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def run(self) -> dict[str, str]:
        found: dict[str, str] = renewal.handler(aws_events.scheduled_event(), None)
        return found

    def run_hourly(self, hours: int) -> None:
        for _ in range(hours):
            self.wait(hours=1)
            self.run()
            self.check()

    def use_key(self, key_id: str) -> None:
        """As a deploy with a new key does."""
        self._patch.setenv("AUTHORITY_KEY_ID", key_id)
        wiring.ports.cache_clear()

    @property
    def trusted(self) -> list[x509.Certificate]:
        text = aws.client("s3").get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
        return x509.load_pem_x509_certificates(text)

    @property
    def told(self) -> str:
        """The version of the trust store that the ingress uses."""
        found = aws.client("apigatewayv2").get_domain_name(DomainName=DOMAIN)
        return str(found["MutualTlsAuthentication"].get("TruststoreVersion", ""))

    @property
    def version(self) -> str:
        return str(aws.client("s3").head_object(Bucket=BUCKET, Key=KEY)["VersionId"])

    def stored(self, caller: str) -> dict[str, str]:
        answer = aws.client("secretsmanager").get_secret_value(SecretId=f"{caller}-identity")
        found: dict[str, str] = json.loads(answer["SecretString"])
        return found

    def leaf(self, caller: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.stored(caller)["certificate"].encode())

    def leaves(self) -> list[int]:
        return [self.leaf(caller).serial_number for caller in CALLERS]

    def check(self) -> None:
        """Every caller has a leaf that the trust store accepts now, and knows all authorities of it."""
        verifier = PolicyBuilder().store(Store(self.trusted)).time(self.now).build_client_verifier()
        for caller in CALLERS:
            found = verifier.verify(self.leaf(caller), [])
            assert found.subjects == [x509.UniformResourceIdentifier(f"spiffe://mercato/{caller}")]
            assert x509.load_pem_x509_certificates(self.stored(caller)["authorities"].encode()) == self.trusted


def make_key() -> str:
    """The id of a new key in KMS."""
    made = aws.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return str(made["KeyMetadata"]["KeyId"])


def make_secret(caller: str) -> None:
    aws.client("secretsmanager").create_secret(Name=f"{caller}-identity")


@pytest.fixture
def authorities(cloud: None, monkeypatch: pytest.MonkeyPatch, noon: datetime) -> Authorities:
    monkeypatch.setattr(BotocoreStubber, "process_request", in_turn(BotocoreStubber.process_request))
    # The stubs know no handler that answers in the place of AWS.
    aws.session().register("before-call.apigatewayv2.UpdateDomainName", _update_domain_name)  # type: ignore[arg-type]
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for caller in CALLERS:
        make_secret(caller)
    aws.client("apigatewayv2").create_domain_name(
        DomainName=DOMAIN,
        DomainNameConfigurations=[{"EndpointType": "REGIONAL", "DomainNameStatus": "AVAILABLE"}],
        MutualTlsAuthentication={"TruststoreUri": URI},
    )
    for name, value in {
        "AUTHORITY_KEY_ID": make_key(),
        "TRUST_BUCKET": BUCKET,
        "TRUST_DOMAIN": "mercato",
        "MESH_DOMAIN": DOMAIN,
        "IDENTITIES": ",".join(f"{caller}={caller}-identity" for caller in CALLERS),
    }.items():
        monkeypatch.setenv(name, value)
    return Authorities(noon, monkeypatch)


def in_turn(answer: Any) -> Any:
    """S3 and Secrets Manager check a condition and write at once. moto does so only for one request at a time."""
    turns = threading.RLock()

    def answer_in_turn(stubber: BotocoreStubber, request: Any) -> Any:
        with turns:
            return answer(stubber, request)

    return answer_in_turn


def _update_domain_name(params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
    """moto has no UpdateDomainName. The domain then uses the version of the trust store that it was told."""
    told = json.loads(params["body"])["mutualTlsAuthentication"]
    assert told["truststoreUri"] == URI
    name = params["url_path"].rpartition("/")[2]
    [backend] = [found for found in apigatewayv2_backends["123456789012"].values() if name in found.domain_names]
    backend.domain_names[name].mutual_tls_authentication = told
    return AWSResponse(params["url"], 200, HTTPHeaders(), None), {}
