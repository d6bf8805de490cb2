"""`mercato mesh certs`, with an issuer that tells what the test says."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from infra.mesh import certificates
from infra.mesh.command import mesh
from infra.operator import target
from infra.operator.target import Target

AUTHORITY = "CN=mercato mesh 0123456789abcdef"
SHOP = Target("http://shop", "", "eu-west-1", "shop", {"MeshIssuer": "shop-mesh-issuer"}, {})


def told(subject: str, hours: float, issuer: str = AUTHORITY) -> dict[str, str]:
    now = datetime.now(UTC)
    ends = (now + timedelta(hours=hours)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"subject": subject, "issuer": issuer, "issued_at": ends, "ends_at": ends}


class Issuer:
    """Lambda, with this function alone."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.report: dict[str, Any] = {
            "authorities": [told(AUTHORITY, 9999)],
            "leaves": {"orders": told("CN=orders", 20)},
        }
        self.error = ""

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803  # the names are AWS's
        assert FunctionName == "shop-mesh-issuer"
        self.events.append(json.loads(Payload))
        if self.error:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(self.error.encode())}
        answer = self.report if self.events[-1] else {"orders": "renewed"}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Issuer:
    found = Issuer()
    monkeypatch.setattr(target, "chosen", lambda: SHOP)
    monkeypatch.setattr(certificates, "client", lambda shop, service: found)
    return found


def test_good_certificates_are_shown(issuer: Issuer) -> None:
    done = CliRunner().invoke(mesh, ["certs"])
    assert done.exit_code == 0, done.output
    assert "orders" in done.output
    assert issuer.events == [{"report": True}]


def test_the_issuer_runs_first_if_asked(issuer: Issuer) -> None:
    done = CliRunner().invoke(mesh, ["certs", "--renew"])
    assert "orders: renewed" in done.output
    assert issuer.events == [{}, {"report": True}]


@pytest.mark.parametrize(
    ("leaf", "said"),
    [
        (told("CN=orders", 11), "is renewed late"),
        (told("CN=orders", -1), "has ended"),
        (told("CN=orders", 20, "CN=old"), "is of an authority that is being replaced"),
        ({"problem": "not issued yet"}, "not issued yet"),
    ],
)
def test_a_leaf_that_needs_attention_fails_the_command(issuer: Issuer, leaf: dict[str, str], said: str) -> None:
    issuer.report["leaves"]["orders"] = leaf
    done = CliRunner().invoke(mesh, ["certs"], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())


def test_without_an_authority_the_next_command_is_told(issuer: Issuer) -> None:
    issuer.report = {"authorities": [], "leaves": {}}
    done = CliRunner().invoke(mesh, ["certs"])
    assert done.exit_code == 1
    assert "mercato mesh certs --renew" in done.output


def test_a_failing_issuer_is_told_with_its_error(issuer: Issuer) -> None:
    issuer.error = '{"errorType": "TransientError", "errorMessage": "not renewed, or not told: orders"}'
    done = CliRunner().invoke(mesh, ["certs", "--renew"])
    assert done.exit_code == 1
    assert "not renewed, or not told: orders" in done.output


def test_a_shop_without_a_mesh_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "chosen", lambda: Target("http://shop", "", "eu-west-1", "shop", {}, {}))
    done = CliRunner().invoke(mesh, ["certs"])
    assert done.exit_code == 1
    assert "Mesh=on" in done.output
