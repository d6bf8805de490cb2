"""Before it calls SAM, `make deploy` refuses invalid parameters and libraries that were built for another machine."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from infra import preflight, release, templates
from infra.trouble import Trouble
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
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00"


def problems(given: dict[str, str]) -> list[str]:
    return preflight.problems_of(TEMPLATE, given)


def configured(environment: str) -> dict[str, str]:
    return dict(text.split("=", 1) for text in release.parameters(environment))


@pytest.mark.parametrize("given", [DEV, PROD], ids=["dev", "prod"])
def test_a_shop_with_values_of_its_own_can_be_deployed(given: dict[str, str]) -> None:
    assert problems(given) == []


@pytest.mark.parametrize("given", [DEV, PROD], ids=["dev", "prod"])
@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("FromAddress", "shop@mercato.example", "SES has verified"),
        ("ShopUrl", "https://mercato.example", "lead nowhere"),
        ("ConsoleUrl", "https://console.mercato.example", "refuse its own forms"),
        ("AllowedOrigins", "https://mercato.example", "no browser"),
        ("StripeApi", "http://localhost:8420", "StripeApi is for the local cloud"),
        ("VerifiedAddressesOnly", "false", "reveals which addresses"),
        ("RateLimitPer15Minutes", "1000000", "RateLimitPer15Minutes is one of"),
        ("CarrierStepSeconds", "1", "CarrierStepSeconds is one of"),
    ],
)
def test_a_value_of_the_local_cloud_is_refused_on_aws(given: dict[str, str], name: str, value: str, why: str) -> None:
    [problem] = problems(given | {name: value})
    assert why in problem


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
        ("AllowedOrigins", "shop.test"),
        ("CarrierStepSeconds", "901"),
        ("CarrierStepSeconds", "a minute"),
        ("LogRetentionDays", "31"),
        ("AlarmEmail", "nobody"),
        ("FormAddress", "shop@shop.test"),
    ],
)
def test_a_value_that_cloudformation_would_refuse_is_named(name: str, value: str) -> None:
    assert name in problems(DEV | {name: value})[0]


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
        "ProdHasNoSandbox",
        "ProdHearsItsAlarms",
    }
    assert sum(len(rule["Assertions"]) for rule in TEMPLATE["Rules"].values()) == 13


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


def test_layers_are_built_for_the_machine_that_the_functions_run_on() -> None:
    architecture = preflight.architecture_of(load_template())
    for name, layer in resources_of_type("AWS::Serverless::LayerVersion").items():
        assert layer["Properties"]["CompatibleArchitectures"] == [architecture], name
        folder = ROOT / layer["Properties"]["ContentUri"]
        built = "".join(path.read_text() for path in (folder / "Makefile", folder / "build.py") if path.exists())
        if name != "StripeLayer":  # it has no compiled library
            assert f"manylinux2014_{architecture}" in built, name


def test_no_function_has_a_machine_of_its_own() -> None:
    own: dict[str, Any] = resources_of_type("AWS::Serverless::Function")
    assert [name for name, function in own.items() if "Architectures" in function["Properties"]] == []
