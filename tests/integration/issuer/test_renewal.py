"""MeshIssuer, with KMS, S3, Secrets Manager and API Gateway."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from issuer import renewal
from issuer.authority import INGRESS, KmsKey, issue, make_authority
from issuer.identities import Identity
from issuer.trust import TrustStore
from mercato import aws
from mercato.errors import TransientError
from tests.integration.issuer.conftest import BUCKET, CALLERS, Authorities, make_key

SERVICES = ("kms", "s3", "secretsmanager", "apigatewayv2")


def break_calls(matches: Callable[[Any], bool]) -> Callable[[], None]:
    """Lets calls fail of which `matches` says so, given the operation's model. Returns what ends it."""

    def fail(model: Any, **_: Any) -> None:
        if matches(model):
            raise EndpointConnectionError(endpoint_url="https://aws.example")

    for service in SERVICES:
        aws.client(service).meta.events.register_first("before-call", fail, unique_id="broken")

    def mend() -> None:
        for service in SERVICES:
            aws.client(service).meta.events.unregister("before-call", unique_id="broken")

    return mend


def test_the_first_run_makes_an_authority_and_a_leaf_for_each_caller(authorities: Authorities) -> None:
    assert authorities.run() == dict.fromkeys(CALLERS, "renewed")
    authorities.check()
    [authority] = authorities.trusted
    assert authority.subject.rfc4514_string().startswith("CN=mercato mesh ")
    assert authorities.told == authorities.version
    leaf = authorities.leaf("orders")
    assert leaf.subject.rfc4514_string() == "CN=orders"
    assert leaf.not_valid_after_utc - authorities.now == timedelta(hours=24)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert len({authorities.stored(caller)["key"] for caller in CALLERS}) == len(CALLERS)


def test_leaves_are_renewed_every_six_hours(authorities: Authorities) -> None:
    authorities.run()
    seen = [authorities.leaves()]
    for _ in range(24):
        authorities.wait(hours=1)
        authorities.run()
        authorities.check()
        if authorities.leaves() != seen[-1]:
            seen.append(authorities.leaves())
    assert len(seen) == 5
    assert len(authorities.trusted) == 1


def test_a_second_run_changes_nothing(authorities: Authorities) -> None:
    authorities.run()
    before = authorities.leaves(), authorities.version
    assert authorities.run() == dict.fromkeys(CALLERS, "unchanged")
    assert (authorities.leaves(), authorities.version) == before


def test_a_new_authority_is_trusted_before_it_signs_and_the_old_one_until_its_leaves_are_gone(
    authorities: Authorities,
) -> None:
    authorities.run()
    authorities.run_hourly(7)
    [old] = authorities.trusted
    authorities.use_key(make_key())
    signers: list[set[str]] = []
    trusted: list[int] = []
    for _ in range(30):
        authorities.wait(hours=1)
        authorities.run()
        authorities.check()
        assert authorities.told == authorities.version
        signers.append({authorities.leaf(caller).issuer.rfc4514_string() for caller in CALLERS})
        trusted.append(len(authorities.trusted))
    was = {old.subject.rfc4514_string()}
    assert signers[:3] == [was] * 3, "callers get the time to read the new trust"
    assert was not in signers[3:]
    assert (trusted[0], trusted[25], trusted[-1]) == (2, 2, 1)
    assert old not in authorities.trusted


def test_a_leaf_of_a_removed_authority_is_refused(authorities: Authorities) -> None:
    authorities.run()
    old = authorities.leaf("orders")
    authorities.use_key(make_key())
    authorities.run_hourly(30)
    verifier = PolicyBuilder().store(Store(authorities.trusted)).time(old.not_valid_before_utc).build_client_verifier()
    with pytest.raises(VerificationError):
        verifier.verify(old, [])


def test_a_new_authority_signs_only_when_the_ingress_knows_it(authorities: Authorities) -> None:
    authorities.run()
    before = authorities.leaves()
    authorities.use_key(make_key())
    mend = break_calls(lambda model: model.name == "GetDomainName")
    for _ in range(5):
        authorities.wait(hours=1)
        with pytest.raises(TransientError, match="not told: the ingress"):
            authorities.run()
    assert authorities.leaves() == before
    mend()
    authorities.run()
    assert authorities.told == authorities.version, "a failed publication is repeated by the next run"
    assert authorities.leaves() == before, "the ingress was told only now"
    authorities.wait(hours=1)
    authorities.run()
    assert authorities.leaves() != before
    authorities.check()


def test_while_the_ingress_cannot_be_asked_leaves_are_renewed(authorities: Authorities) -> None:
    authorities.run()
    before = authorities.leaves()
    authorities.wait(hours=6)
    break_calls(lambda model: model.name == "GetDomainName")
    with pytest.raises(TransientError, match="not told: the ingress"):
        authorities.run()
    assert set(authorities.leaves()).isdisjoint(before)
    authorities.check()


def test_an_ingress_that_never_takes_the_new_authority_is_told_before_the_leaves_end(
    authorities: Authorities, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorities.run()
    authorities.use_key(make_key())
    monkeypatch.setattr("issuer.trust.Ingress.trusts", lambda *_: False)
    for _ in range(11):
        authorities.wait(hours=1)
        authorities.run()
    authorities.wait(hours=1)
    with pytest.raises(renewal.RenewalLate, match="a leaf ends in 12:00:00"):
        authorities.run()


def test_one_caller_whose_secret_fails_does_not_stop_the_others(authorities: Authorities) -> None:
    authorities.run()
    before = authorities.leaves()
    aws.client("secretsmanager").put_secret_value(
        SecretId="orders-identity", SecretString='{"certificate": "", "key": "", "authorities": ""}'
    )
    authorities.wait(hours=6)
    with pytest.raises(TransientError, match="not told: orders"):
        authorities.run()
    assert authorities.leaf("carts").serial_number != before[0]
    assert authorities.leaf("ops").serial_number != before[2]


def test_a_report_tells_of_the_certificates_and_of_no_key(authorities: Authorities) -> None:
    empty = renewal.handler({"report": True}, None)
    assert empty == {"authorities": [], "leaves": {caller: {"problem": "not issued yet"} for caller in CALLERS}}
    authorities.run()
    aws.client("secretsmanager").put_secret_value(SecretId="ops-identity", SecretString="no JSON")
    before = authorities.version
    found = renewal.handler({"report": True}, None)
    [authority] = found["authorities"]
    assert found["leaves"]["orders"] == {
        "subject": "CN=orders",
        "issuer": authority["subject"],
        "issued_at": "2026-11-22T12:00:00.000Z",
        "ends_at": "2026-11-23T12:00:00.000Z",
    }
    assert "problem" in found["leaves"]["ops"]
    assert "PRIVATE" not in str(found)
    assert authorities.version == before


@pytest.mark.parametrize("value", ["{}", " {} "])
def test_an_empty_secret_is_filled(authorities: Authorities, value: str) -> None:
    aws.client("secretsmanager").put_secret_value(SecretId="orders-identity", SecretString=value)
    authorities.run()
    authorities.check()


def test_a_caller_that_is_new_while_the_authority_changes_gets_a_leaf_at_once(authorities: Authorities) -> None:
    authorities.run()
    authorities.use_key(make_key())
    aws.client("secretsmanager").delete_secret(SecretId="ops-identity", ForceDeleteWithoutRecovery=True)
    aws.client("secretsmanager").create_secret(Name="ops-identity")
    authorities.wait(hours=1)
    assert authorities.run()["ops"] == "renewed"
    authorities.check()


def test_an_issuer_that_was_down_for_two_days_starts_again(authorities: Authorities) -> None:
    authorities.run()
    authorities.wait(days=2)
    assert authorities.run() == dict.fromkeys(CALLERS, "renewed")
    authorities.check()


def test_the_authority_is_renewed_in_time_with_the_same_key(authorities: Authorities) -> None:
    authorities.run()
    authorities.wait(days=5 * 365 - 89)
    authorities.run()
    authorities.check()
    authorities.run_hourly(27)
    assert len(authorities.trusted) == 1
    assert authorities.trusted[0].not_valid_after_utc > authorities.now + timedelta(days=4 * 365)


@pytest.mark.parametrize("changes", [False, True], ids=["first run", "change of the authority"])
def test_a_run_that_dies_anywhere_is_completed_by_the_next(authorities: Authorities, changes: bool) -> None:
    """At each call to AWS in turn: the run dies there, and the next ones end as if it had not."""
    if changes:
        authorities.run()
    for number in range(40):
        if changes:
            authorities.use_key(make_key())
        authorities.wait(hours=30)  # all leaves are due
        left = [number]

        def dies(_: Any, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] < 0

        end = break_calls(dies)
        died = False
        try:
            authorities.run()
        except TransientError:
            died = True
        end()
        authorities.run()
        authorities.check()
        authorities.wait(hours=4)
        authorities.run()
        authorities.check()
        assert authorities.told == authorities.version
        if not died:
            assert number > 8, "no run makes fewer calls"
            return
    raise AssertionError("a run never ended")


@pytest.mark.parametrize("number", range(14))
def test_a_run_in_the_middle_of_another_changes_nothing_twice(authorities: Authorities, number: int) -> None:
    left, inner = [number], list[dict[str, str]]()

    def meets(_: Any) -> bool:
        left[0] -= 1
        if left[0] == -1:
            inner.append(authorities.run())
        return False

    end = break_calls(meets)
    outer = authorities.run()
    end()
    authorities.check()
    assert len(authorities.trusted) == 1
    if inner:
        for caller in CALLERS:
            assert (outer[caller], inner[0][caller]).count("renewed") == 1
    assert authorities.run() == dict.fromkeys(CALLERS, "unchanged")


def test_eight_runs_at_once_make_one_authority_and_one_leaf_each(authorities: Authorities) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = [found.result() for found in [pool.submit(authorities.run) for _ in range(8)]]
    authorities.check()
    assert len(authorities.trusted) == 1
    for caller in CALLERS:
        assert [one[caller] for one in outcomes].count("renewed") == 1


def test_the_trust_store_of_another_run_is_not_overwritten(authorities: Authorities) -> None:
    store = TrustStore(BUCKET)
    empty = store.load()
    ours, theirs = (make_authority(KmsKey(make_key()), authorities.now) for _ in range(2))
    won = store.replace(empty, (ours,))
    assert store.replace(empty, (theirs,)) == won == store.load()
    later = store.replace(won, (ours, theirs))
    assert store.replace(won, (theirs,)) == later


def test_python_s_tls_accepts_the_leaves_of_both_sides(authorities: Authorities, tmp_path: Path) -> None:
    """Python 3.13 checks strictly: a leaf without an Authority Key Identifier would fail."""
    key = KmsKey(make_key())
    now = datetime.now(UTC)
    authority = make_authority(key, now)
    pem = authority.public_bytes(Encoding.PEM).decode()
    sides = {}
    for name in ("orders", INGRESS):
        made = Identity.make(*issue(authority, key, name, f"spiffe://mercato/{name}", now), pem)
        path = tmp_path / f"{name}.pem"
        path.write_text(made.certificate + made.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if name == INGRESS else ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(path)
        context.load_verify_locations(cadata=pem)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        sides[name] = context
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = sides[INGRESS].wrap_bio(to_server, to_client, server_side=True)
    client = sides["orders"].wrap_bio(to_client, to_server)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = server.getpeercert()
    assert shown is not None
    assert shown["subject"] == ((("commonName", "orders"),),)


def test_the_authority_s_key_signs_and_does_nothing_else(cloud: None) -> None:
    key = KmsKey(make_key())
    signature = key.sign(b"message", ec.ECDSA(hashes.SHA256()))
    key.public_key().verify(signature, b"message", ec.ECDSA(hashes.SHA256()))
    for attempt in (
        lambda: key.private_bytes(),
        lambda: key.private_numbers(),
        lambda: key.exchange(ec.ECDH(), key.public_key()),
        lambda: key.sign(b"", ec.ECDSA(hashes.SHA384())),
        lambda: key.sign(bytes(4097), ec.ECDSA(hashes.SHA256())),
    ):
        with pytest.raises(UnsupportedAlgorithm):
            attempt()
    other = aws.client("kms").create_key(KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    with pytest.raises(UnsupportedAlgorithm, match="not on P-256"):
        KmsKey(other).public_key()


def test_kms_hashes_a_message_of_the_size_that_the_authority_sends() -> None:
    """moto does not check it. botocore's model is AWS's own."""
    shape = aws.session().get_service_model("kms").operation_model("Sign").input_shape
    assert shape is not None
    assert shape.members["Message"].metadata["max"] == 4096
    assert "RAW" in shape.members["MessageType"].metadata["enum"]
