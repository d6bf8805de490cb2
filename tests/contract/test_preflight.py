"""Before it calls SAM, `make deploy` refuses invalid parameters and libraries that were built for another machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from infra import preflight, release, templates
from infra.paths import UV
from infra.trouble import Trouble
from mercato.countries import CODES
from tests.kit.template import MAIN, ROOT, load_template, resources_of_type

TEMPLATE = templates.read(ROOT / MAIN)
DEV = {
    "Environment": "dev",
    "CarrierStepSeconds": "60",
    "FromAddress": "shop@shop.test",
    "ShopUrl": "https://shop.test",
    "ConsoleUrl": "https://console.shop.test",
    "AllowedOrigins": "https://shop.test,https://console.shop.test",
}
PROD = DEV | {
    "Environment": "prod",
    "PaymentProvider": "stripe",
    "StripePublishableKey": "pk_live_x",
    "AlarmEmail": "ops@shop.test",
    "Carrier": "manual",
    "TrafficShift": "Canary10Percent5Minutes",
}
CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00"


def problems(given: dict[str, str]) -> list[str]:
    return preflight.problems_of(TEMPLATE, given)


def configured(environment: str) -> dict[str, str]:
    return dict(text.split("=", 1) for text in release.parameters(environment))


@pytest.mark.parametrize("given", [DEV, PROD], ids=["dev", "prod"])
def test_a_shop_with_values_of_its_own_can_be_deployed(given: dict[str, str]) -> None:
    assert problems(given) == []


@pytest.mark.parametrize("currency", ["JPY", "KWD", "EUR"])
def test_a_shop_may_sell_in_any_currency_that_its_provider_takes(currency: str) -> None:
    assert problems(DEV | {"Currency": currency}) == []
    found = problems(PROD | {"Currency": currency})
    assert [one for one in found if "Stripe does not take" in one] == (found if currency == "KWD" else [])


@pytest.mark.parametrize("currency", ["XXX", "gbp", "XAU", "GBR"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    (found,) = problems(DEV | {"Currency": currency})
    assert found.startswith(f"Currency={currency} is none of AED, ")


@pytest.mark.parametrize("country", sorted(CODES))
def test_a_shop_may_be_in_any_country(country: str) -> None:
    assert problems(DEV | {"Country": country}) == []


@pytest.mark.parametrize("country", ["UK", "XX", "gb", "GBR"])
def test_what_is_no_country_is_refused(country: str) -> None:
    """The checkout's form would begin with the first country of its list."""
    (found,) = problems(DEV | {"Country": country})
    assert found.startswith(f"Country={country} is none of AD, ")


@pytest.mark.parametrize("given", [DEV, PROD], ids=["dev", "prod"])
@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("FromAddress", "shop@mercato.example", "SES has verified"),
        ("ShopUrl", "https://mercato.example", "lead nowhere"),
        ("ConsoleUrl", "https://console.mercato.example", "refuse its own forms"),
        ("AllowedOrigins", "https://mercato.example", "no browser"),
        ("StripeApi", "http://localhost:8420", "StripeApi is for the local cloud"),
        ("EasyPostApi", "http://localhost:8421", "EasyPostApi is for the local cloud"),
        ("VerifiedAddressesOnly", "false", "reveals which addresses"),
        ("RateLimitPer15Minutes", "1000000", "RateLimitPer15Minutes is one of"),
        ("CarrierStepSeconds", "1", "CarrierStepSeconds is one of"),
    ],
)
def test_a_value_of_the_local_cloud_is_refused_on_aws(given: dict[str, str], name: str, value: str, why: str) -> None:
    [problem] = problems(given | {name: value})
    assert why in problem


@pytest.mark.parametrize("lacking", ["CarrierServices", "CarrierAddress"])
def test_easypost_must_know_its_services_and_the_warehouse(lacking: str) -> None:
    given = {"Carrier": "easypost", "CarrierServices": "standard=USPS/GroundAdvantage", "CarrierAddress": "adr_1f"}
    assert problems(PROD | given) == []
    [problem] = problems(PROD | given | {lacking: ""})
    assert "needs CarrierServices and CarrierAddress" in problem


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PaymentProvider", "sandbox", "gives goods away"),
        ("StripePublishableKey", "", "takes no card"),
        ("AlarmEmail", "", "AlarmEmail is an address"),
        ("Carrier", "sandbox", "The sandbox delivers nothing"),
    ],
)
def test_what_prod_cannot_do_without_may_be_missing_in_dev(name: str, value: str, why: str) -> None:
    [problem] = problems(PROD | {name: value})
    assert why in problem
    assert problems(DEV | {name: value}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Environment", "staging"),
        ("FromAddress", "The shop <shop@shop.test>"),
        ("ShopUrl", "shop.test"),
        ("ShopUrl", "https://müller.test"),  # SES takes visible ASCII in a mail's headers
        ("ConsoleUrl", "https://müller.test"),
        ("AllowedOrigins", "shop.test"),
        ("CarrierStepSeconds", "901"),
        ("CarrierStepSeconds", "a minute"),
        ("LogRetentionDays", "31"),
        ("AlarmEmail", "nobody"),
        ("FormAddress", "shop@shop.test"),
        ("EdgeCertificateArn", CERTIFICATE),
        ("ApiDomain", "https://api.shop.test"),
        ("ApiDomain", "API.shop.test"),
        ("ApiCertificateArn", "arn:aws:iam::123456789012:server-certificate/shop"),
        ("ApiWaf", "on"),
        ("ApiWafLimit", "9"),
        ("ApiWafLimit", "20001"),
        ("ApiMetrics", "true"),
        ("Architecture", "aarch64"),
        ("RelayConcurrency", "-1"),
    ],
)
def test_a_value_that_cloudformation_would_refuse_is_named(name: str, value: str) -> None:
    assert name in problems(DEV | {name: value})[0]


@pytest.mark.parametrize("missing", ["MeshDomain", "MeshCertificateArn"])
def test_a_mesh_on_aws_has_a_domain_and_its_certificate(missing: str) -> None:
    whole = DEV | {"Mesh": "on", "MeshDomain": "mesh.shop.test", "MeshCertificateArn": CERTIFICATE}
    assert problems(whole) == []
    [problem] = problems(whole | {missing: ""})
    assert "MeshDomain, and MeshCertificateArn" in problem
    assert problems(whole | {missing: "", "Mesh": "off"}) == []
    assert problems({"Environment": "local", "Mesh": "on"}) == problems({"Environment": "local"})


def test_a_domain_of_the_api_and_its_certificate_belong_together() -> None:
    assert problems(PROD | {"ApiDomain": "api.shop.test", "ApiCertificateArn": CERTIFICATE}) == []
    [problem] = problems(PROD | {"ApiDomain": "api.shop.test"})
    assert "ApiDomain needs ApiCertificateArn" in problem
    [problem] = problems(PROD | {"ApiCertificateArn": CERTIFICATE})
    assert "ApiDomain, which is empty" in problem


def test_a_certificate_of_another_region_is_named_before_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """A regional domain looks for its certificate in the API's region, CloudFront in us-east-1."""
    foreign = CERTIFICATE.replace("eu-west-1", "us-east-1")
    given = PROD | {"ApiDomain": "api.shop.test", "ApiCertificateArn": foreign}
    monkeypatch.setattr(release, "parameters", lambda _: [f"{name}={value}" for name, value in given.items()])
    result = CliRunner().invoke(preflight.main, ["parameters", "prod"])
    assert "is not of eu-west-1" in str(result.exception)
    given["ApiCertificateArn"] = CERTIFICATE
    assert CliRunner().invoke(preflight.main, ["parameters", "prod"]).exit_code == 0


def test_the_local_clouds_environment_is_for_the_emulator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [problem for problem in problems(configured("default")) if "is for the emulator" in problem]
    monkeypatch.setitem(preflight._PSEUDO, "AWS::AccountId", "000000000000")
    assert problems(configured("default")) == []


@pytest.mark.parametrize(("environment", "filled_in"), [("dev", DEV), ("prod", PROD)])
def test_samconfig_leaves_to_the_deployer_only_what_the_deployer_alone_can_know(
    environment: str, filled_in: dict[str, str]
) -> None:
    given = configured(environment)
    unfilled = {name for name, value in given.items() if value == preflight.UNFILLED}
    assert unfilled <= {name for name in filled_in if name not in ("Environment", "CarrierStepSeconds")}
    named = [problem for problem in problems(given) if "is not filled in" in problem]
    assert {problem.partition(" ")[0] for problem in named} == unfilled
    assert problems(given | {name: filled_in[name] for name in unfilled}) == []


def test_the_command_names_what_is_missing_and_where_to_change_it() -> None:
    result = CliRunner().invoke(preflight.main, ["parameters", "prod"])
    assert isinstance(result.exception, Trouble)
    assert "AlarmEmail is not filled in" in str(result.exception)
    assert "[prod.deploy.parameters]" in str(result.exception)


def test_a_pipeline_fills_in_the_parameters_of_one_environment() -> None:
    before = (ROOT / "samconfig.toml").read_text()
    lines = "\n".join(f"{name}={value}" for name, value in PROD.items()) + "\n\nEdgeCertificateArn=arn:aws:acm:x=y\n"

    after = preflight.filled_in(before, "prod", lines)

    config = tomllib.loads(after)
    given = config["prod"]["deploy"]["parameters"]["parameter_overrides"]
    assert given == [
        *(f"{name}={PROD[name]}" for name in configured("prod")),
        "EdgeCertificateArn=arn:aws:acm:x=y",
    ]
    unchanged = tomllib.loads(before)
    for environment in ("default", "dev"):
        assert config[environment] == unchanged[environment]


def test_a_parameter_that_the_pipeline_does_not_have_stays_unfilled_and_is_named() -> None:
    before = (ROOT / "samconfig.toml").read_text()
    after = tomllib.loads(preflight.filled_in(before, "dev", "FromAddress=shop@shop.test"))
    given = after["dev"]["deploy"]["parameters"]["parameter_overrides"]
    missing = [problem.partition(" ")[0] for problem in problems(dict(text.split("=", 1) for text in given))]
    assert missing == ["ShopUrl", "ConsoleUrl", "AllowedOrigins"]


@pytest.mark.parametrize("line", ["FromAddress", "From Address=x", "=x", "'Environment=prod", "a:b"])
def test_a_line_that_is_no_parameter_is_refused(line: str) -> None:
    with pytest.raises(Trouble, match="not NAME=VALUE"):
        preflight.filled_in((ROOT / "samconfig.toml").read_text(), "dev", f"ShopUrl=https://shop.test\n{line}")


def test_an_unknown_environment_is_not_filled_in() -> None:
    result = CliRunner().invoke(preflight.main, ["fill", "staging"], env={"PARAMETERS": ""})
    assert result.exit_code == 2
    assert "no environment 'staging'" in result.output


def test_a_deploy_checks_the_parameters_before_the_build_and_the_build_before_the_upload() -> None:
    steps = (ROOT / "Makefile").read_text().partition("\ndeploy:")[2].partition("\n\n")[0].splitlines()[1:]
    order = [
        next(at for at, step in enumerate(steps) if word in step)
        for word in ("parameters", "sam build", "preflight build", "sam deploy")
    ]
    assert order == sorted(order)


def test_every_rule_of_the_template_is_among_those_above() -> None:
    assert TEMPLATE["Rules"].keys() == {
        "LocalIsTheEmulator",
        "AwsHasValuesOfItsOwn",
        "ApiDomainHasACertificate",
        "ApiCertificateHasADomain",
        "MeshHasAnIngress",
        "ProdHasNoSandbox",
        "EasyPostKnowsTheShop",
        "StripeTakesTheCurrency",
        "ProdHearsItsAlarms",
    }
    assert sum(len(rule["Assertions"]) for rule in TEMPLATE["Rules"].values()) == 19


def library(name: str, content: bytes, folder: Path) -> None:
    path = folder / "Users" / "CommonLayer" / "python" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def foreign(folder: Path, architecture: str = "x86_64") -> list[str]:
    return [told.rpartition("/")[2] for told in preflight.foreign_libraries(folder, architecture)]


def test_a_library_of_the_functions_machine_is_taken(tmp_path: Path) -> None:
    library("core.cpython-313-x86_64-linux-gnu.so", ELF + b"\x3e\x00", tmp_path)
    library("core.py", b"#!", tmp_path)
    assert foreign(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("core.cpython-313-darwin.so", b"\xcf\xfa\xed\xfe" + bytes(40), "is not for Linux"),
        ("core.cp313-win_amd64.pyd", b"MZ" + bytes(40), "is not for Linux"),
        ("libcore.dylib", b"\xcf\xfa\xed\xfe" + bytes(40), "is not for Linux"),
        ("core.cpython-313-aarch64-linux-gnu.so", ELF + b"\xb7\x00", "is for arm64, the functions run on x86_64"),
        ("libcore.so.1.2", ELF + b"\xf3\x00", "is for another machine, the functions run on x86_64"),
        ("empty.so", b"", "is not for Linux"),
    ],
)
def test_a_library_of_another_machine_is_named(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    library(name, content, tmp_path)
    assert foreign(tmp_path) == [f"{name} {told}"]


def test_on_arm_the_same_is_asked_of_arm(tmp_path: Path) -> None:
    library("core.so", ELF + b"\xb7\x00", tmp_path)
    assert foreign(tmp_path, "arm64") == []


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_architecture_is_that_of_the_environments_parameters(
    environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert preflight.architecture_of(environment) == "x86_64"
    given = [*release.parameters(environment), "Architecture=arm64"]
    monkeypatch.setattr(release, "parameters", lambda _: given)
    assert preflight.architecture_of(environment) == "arm64"


def test_layers_are_built_for_the_processor_that_the_functions_run_on() -> None:
    architecture = {"Ref": "Architecture"}
    assert load_template()["Globals"]["Function"]["Architectures"] == [architecture]
    for name, layer in resources_of_type("AWS::Serverless::LayerVersion").items():
        assert layer["Properties"]["CompatibleArchitectures"] == [architecture], name
        assert layer["Metadata"]["BuildArchitecture"] == architecture, name


@pytest.mark.parametrize("layer", ["CommonLayer", "PagesLayer", "PillowLayer"])
def test_a_layers_libraries_are_of_the_processor_that_the_deploy_names(layer: str, tmp_path: Path) -> None:
    """Whatever machine builds it. Only these layers have compiled libraries."""
    target = tmp_path / ".aws-sam" / "build" / "Users" / layer
    folder = ROOT / resources_of_type("AWS::Serverless::LayerVersion")[layer]["Properties"]["ContentUri"]
    path = os.pathsep.join((str(Path(sys.executable).parent), str(UV / "bin"), os.environ["PATH"]))
    command = ["make", "--silent", "-C", str(folder), f"build-{layer}", f"ARTIFACTS_DIR={target}"]
    subprocess.run(command, check=True, env=os.environ | {"PATH": path, "ARCHITECTURE": "arm64"})

    assert list(preflight.foreign_libraries(target, "arm64")) == []
    assert list(preflight.foreign_libraries(target, "x86_64")), "it has no compiled library"


def test_no_function_has_a_machine_of_its_own() -> None:
    own: dict[str, Any] = resources_of_type("AWS::Serverless::Function")
    assert [name for name, function in own.items() if "Architectures" in function["Properties"]] == []
