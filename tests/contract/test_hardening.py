"""The facts on which the skipped checks of the templates rely."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.mesh import policy
from tests.contract.test_template import as_list, statements
from tests.kit.template import MAIN, ROOT, load_template, resources_of_type

TEMPLATES = [MAIN, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "infra").glob("*.yaml")))]
IDENTITIES = {f"{name.capitalize()}Identity" for name in (*policy.read().identities, "ingress")}
LOADED = [path for path in TEMPLATES if "Resources" in (load_template(path) or {})]


@pytest.mark.parametrize("path", LOADED)
def test_every_queue_is_encrypted(path: str) -> None:
    for name, queue in resources_of_type("AWS::SQS::Queue", path).items():
        assert queue["Properties"].get("SqsManagedSseEnabled") is True, name


def variables() -> list[tuple[str, str, Any]]:
    """Each variable of each function, with the function's name. Those of all functions have none."""
    owners = {"": load_template()["Globals"]["Function"]}
    owners |= {name: found["Properties"] for name, found in resources_of_type("AWS::Serverless::Function").items()}
    return [
        (owner, name, value)
        for owner, properties in owners.items()
        for name, value in properties.get("Environment", {}).get("Variables", {}).items()
    ]


def test_no_environment_variable_holds_a_secret() -> None:
    """A variable has a secret's id (Ref of a Secret), never a dynamic reference that inserts its value."""
    of_secrets = set()
    for owner, name, value in variables():
        assert "resolve:secretsmanager" not in str(value), f"{name} of {owner}"
        assert "resolve:ssm-secure" not in str(value), f"{name} of {owner}"
        if re.search("SECRET|PASSWORD|TOKEN|KEY", name):
            assert isinstance(value, dict), f"{name} of {owner} is written out"
            # the publishable key is in every page
            assert name.endswith("_ID") or name == "STRIPE_PUBLISHABLE_KEY", f"{name} of {owner}"
            of_secrets.add(name)
    assert {"STRIPE_KEY_ID", "WEBHOOK_SECRET_ID", "QUOTE_SECRET_ID", "UNSUBSCRIBE_SECRET_ID"} <= of_secrets


def test_stripes_key_is_sent_to_stripe_alone_unless_on_the_local_cloud() -> None:
    assert load_template()["Conditions"]["UsesLocalStripe"] == {
        "Fn::And": [{"Condition": "IsLocal"}, {"Condition": "UsesStripe"}]
    }
    wanted = {"Fn::If": ["UsesLocalStripe", {"Ref": "StripeApi"}, {"Ref": "AWS::NoValue"}]}
    named = {
        name: function["Properties"]["Environment"]["Variables"]["STRIPE_API"]
        for name, function in resources_of_type("AWS::Serverless::Function").items()
        if "STRIPE_KEY_ID" in function["Properties"].get("Environment", {}).get("Variables", {})
    }
    assert named == dict.fromkeys(("PaymentsApi", "PaymentsSaga", "PaymentsConsumer", "PaymentsReconciler"), wanted)


def test_easyposts_key_is_sent_to_easypost_alone_unless_on_the_local_cloud() -> None:
    assert load_template()["Conditions"]["UsesLocalEasyPost"] == {
        "Fn::And": [{"Condition": "IsLocal"}, {"Condition": "UsesEasyPost"}]
    }
    wanted = {"Fn::If": ["UsesLocalEasyPost", {"Ref": "EasyPostApi"}, {"Ref": "AWS::NoValue"}]}
    named = {
        name: function["Properties"]["Environment"]["Variables"]["EASYPOST_API"]
        for name, function in resources_of_type("AWS::Serverless::Function").items()
        if "EASYPOST_KEY_ID" in function["Properties"].get("Environment", {}).get("Variables", {})
    }
    assert named == dict.fromkeys(("ShippingConsumer", "ShippingSaga", "ShippingReconciler"), wanted)


def test_whatever_checkov_passes_over_is_explained() -> None:
    skipped = [line for line in (ROOT / ".checkov.yaml").read_text().splitlines() if "- CKV" in line]
    assert skipped
    for line in skipped:
        assert re.fullmatch(r"  - CKV\w+ +# .{30,}", line), line


def test_a_secret_may_be_read_by_the_functions_that_name_it_alone() -> None:
    readers: dict[str, set[str]] = {}
    for name, function in resources_of_type("AWS::Serverless::Function").items():
        for statement in statements(function["Properties"].get("Policies", [])):
            if "secretsmanager:GetSecretValue" in as_list(statement["Action"]):
                for resource in as_list(statement["Resource"]):
                    for secret in re.findall(r"(\w+)\.Id", str(resource)):
                        readers.setdefault(secret, set()).add(name)
    assert readers == {
        "SigningKeys": {"UsersApi", "UsersKeys"},
        "PaymentsWebhookSecret": {"PaymentsApi"},
        "StripeKey": {"PaymentsApi", "PaymentsConsumer", "PaymentsReconciler", "PaymentsSaga"},
        "StripeWebhookSecret": {"PaymentsApi"},
        "CarrierWebhookSecret": {"ShippingApi"},
        "EasyPostKey": {"ShippingConsumer", "ShippingReconciler", "ShippingSaga"},
        "QuoteSecret": {"CheckoutApi"},
        "UnsubscribeSecret": {"NotificationsApi", "NotificationsConsumer"},
        **{identity: {"MeshIssuer"} for identity in IDENTITIES},
    }


def test_one_function_writes_the_signing_keys_and_one_the_mesh_s_identities() -> None:
    writers = {
        name
        for name, function in resources_of_type("AWS::Serverless::Function").items()
        if "secretsmanager:PutSecretValue" in str(function["Properties"])
    }
    assert writers == {"UsersKeys", "MeshIssuer"}
    written = str(resources_of_type("AWS::Serverless::Function")["MeshIssuer"]["Properties"]["Policies"])
    assert set(re.findall(r"(\w+)\.Id", written)) == IDENTITIES
