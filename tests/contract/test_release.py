"""What a deploy publishes to the shop that runs: SAM itself says which functions get a new version."""

from __future__ import annotations

import functools
import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

with warnings.catch_warnings(action="ignore"):
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

from infra import release, templates
from tests.kit.fast_sam import trusting_its_own_files
from tests.kit.template import ROOT, load_template, resources_of_type

PACKAGED = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
    "AWS::CloudFormation::Stack": "TemplateURL",
}
FUNCTIONS = resources_of_type("AWS::Serverless::Function")
SERVICES = sorted({Path(function["Properties"]["CodeUri"]).name for function in FUNCTIONS.values()})


def functions_of(service: str) -> set[str]:
    return {name for name, found in FUNCTIONS.items() if Path(found["Properties"]["CodeUri"]).name == service}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """As `sam build` leaves it: the templates in their long form, beside each a folder for each function and layer."""
    root = templates.read(ROOT / "template.yaml")
    for name, application in templates.resources_of_type(root, templates.APPLICATION).items():
        template = templates.read(ROOT / application["Properties"]["Location"])
        application["Properties"]["Location"] = f"{name}/template.yaml"
        package(template, tmp_path / name)
    package(root, tmp_path)
    return tmp_path


def package(template: dict[str, Any], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, resource in template["Resources"].items():
        if key := PACKAGED.get(resource["Type"]):
            resource["Properties"][key] = name
            (folder / name).mkdir()
            (folder / name / "domain.py").write_text("ATTEMPTS = 6\n")
    templates.write(folder / "template.yaml", template)


@pytest.fixture
def versions(build: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, str]]:
    """Stamps the build and returns, by function, the version that the deployed templates ask for."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    def find() -> dict[str, str]:
        release.stamp(build, "dev")
        return {name: version for path in services(build) for name, version in versions_in(path).items()}

    return find


def services(build: Path) -> list[Path]:
    return [path for path in templates.applications(build / "template.yaml") if "Globals" in templates.read(path)]


def versions_in(path: Path) -> dict[str, str]:
    template = templates.read(path)
    for resource in template["Resources"].values():
        if key := PACKAGED.get(resource["Type"]):
            resource["Properties"][key] = f"s3://bucket/{digest(path.parent / resource['Properties'][key])}"
        resource["Properties"].pop("Events", None)  # no version depends on them, and SAM is slow at them
    return translated(json.dumps(template))


@functools.cache  # most of a test's templates are those of the test before
def translated(template: str) -> dict[str, str]:
    """The version of each function."""
    with trusting_its_own_files():
        resources = Translator({}, Parser()).translate(json.loads(template), {"Environment": "dev"})["Resources"]
    found = {name: entry for name, entry in resources.items() if entry["Type"] == "AWS::Lambda::Version"}
    return {entry["Properties"]["FunctionName"]["Ref"]: name for name, entry in found.items()}


def digest(folder: Path) -> str:
    """As `sam deploy` names what it uploads."""
    return hashlib.md5(
        b"".join(path.read_bytes() for path in sorted(folder.iterdir())), usedforsecurity=False
    ).hexdigest()


def published(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys() == FUNCTIONS.keys()
    return {name for name, version in after.items() if version != before[name]}


def change_template(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    template = templates.read(path)
    change(template)
    templates.write(path, template)


def test_every_folder_of_a_service_has_a_release(build: Path) -> None:
    folders = {path.name for path in (ROOT / "functions").iterdir() if any(path.rglob("*.py"))}
    assert release.stamp(build, "dev").keys() == set(SERVICES) == folders


@pytest.mark.parametrize("service", SERVICES)
def test_a_changed_line_publishes_the_functions_of_its_service_and_no_others(
    service: str, build: Path, versions: Callable[[], dict[str, str]]
) -> None:
    before = versions()
    for function in functions_of(service):
        (build / service.capitalize() / function / "domain.py").write_text("ATTEMPTS = 7\n")
    assert published(before, versions()) == functions_of(service)


def test_another_layer_publishes_every_function_and_nothing_new_publishes_none(
    build: Path, versions: Callable[[], dict[str, str]]
) -> None:
    before = versions()
    assert published(before, versions()) == set()

    for layer in build.glob("*/CommonLayer/domain.py"):
        layer.write_text("ATTEMPTS = 7\n")

    assert published(before, versions()) == set(FUNCTIONS)


def test_the_layer_of_one_service_publishes_that_service(build: Path, versions: Callable[[], dict[str, str]]) -> None:
    before = versions()
    (build / "Payments" / "StripeLayer" / "domain.py").write_text("ATTEMPTS = 7\n")
    assert published(before, versions()) == functions_of("payments")


def test_a_property_of_one_function_publishes_its_service(build: Path, versions: Callable[[], dict[str, str]]) -> None:
    before = versions()
    carts = build / "Carts" / "template.yaml"
    change_template(carts, lambda template: template["Resources"]["CartsSweeper"]["Properties"].update(Timeout=19))
    assert published(before, versions()) == functions_of("carts")


def test_another_table_publishes_the_services_that_have_its_name(
    build: Path, versions: Callable[[], dict[str, str]]
) -> None:
    """The alias would otherwise stay at a version with the name of the table that the deploy removes."""

    def replace_table(template: dict[str, Any]) -> None:
        template["Resources"]["CartsTable"]["Properties"]["KeySchema"][0]["AttributeName"] = "key"

    before = versions()
    change_template(build / "Carts" / "template.yaml", replace_table)
    assert published(before, versions()) == functions_of("carts") | functions_of("ops")


def test_a_value_that_the_root_hands_in_publishes_the_services_that_have_it(
    build: Path, versions: Callable[[], dict[str, str]]
) -> None:
    def hand_in_another(template: dict[str, Any]) -> None:
        template["Resources"]["Shipping"]["Properties"]["Parameters"]["CarrierStepSeconds"] = 2

    before = versions()
    change_template(build / "template.yaml", hand_in_another)
    assert published(before, versions()) == functions_of("shipping")


def change_globals(build: Path) -> None:
    for path in services(build):
        change_template(path, lambda template: template["Globals"]["Function"].update(Timeout=19))


def change_default(build: Path) -> None:
    change_template(
        build / "template.yaml", lambda template: template["Parameters"]["LogLevel"].update(Default="ERROR")
    )


def change_condition(build: Path) -> None:
    equal = {"Fn::Equals": [1, 1]}
    change_template(
        build / "Payments" / "template.yaml", lambda template: template["Conditions"].update(UsesStripe=equal)
    )


@pytest.mark.parametrize("change", [change_globals, change_default, change_condition])
def test_a_change_that_concerns_all_services_publishes_all(
    change: Callable[[Path], None], build: Path, versions: Callable[[], dict[str, str]]
) -> None:
    before = versions()
    change(build)
    assert published(before, versions()) == set(FUNCTIONS)


def test_other_parameters_other_code_and_another_template_are_other_releases(build: Path) -> None:
    releases = [release.stamp(build, "dev"), release.stamp(build, "prod")]
    for layer in build.glob("*/CommonLayer"):
        (layer / "money.py").write_text("")
    releases.append(release.stamp(build, "prod"))
    change_globals(build)
    releases.append(release.stamp(build, "prod"))
    for service in SERVICES:
        assert len({found[service] for found in releases}) == 4


def test_what_modules_are_compiled_to_is_no_other_release(build: Path) -> None:
    before = release.stamp(build, "dev")
    for folder in build.glob("Carts/C*"):
        if folder.is_dir():
            (folder / "__pycache__").mkdir()
            (folder / "__pycache__" / "domain.cpython-313.pyc").write_bytes(b"\0")
    assert release.stamp(build, "dev") == before


def test_the_release_is_among_the_settings_of_every_function_of_the_service(build: Path) -> None:
    releases = release.stamp(build, "dev")
    for service in SERVICES:
        template = templates.read(build / service.capitalize() / "template.yaml")
        for function in functions_of(service):
            settings = template["Resources"][function]["Properties"]["Environment"]["Variables"]
            assert settings["RELEASE"] == releases[service]


def test_an_environment_that_nobody_knows_is_refused(build: Path) -> None:
    with pytest.raises(click.BadParameter, match="no environment 'production'"):
        release.stamp(build, "production")


def test_prod_takes_no_cards_of_the_sandbox() -> None:
    [rule] = [rule for name, rule in load_template()["Rules"].items() if name == "ProdHasNoSandbox"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Environment"}, "prod"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "PaymentProvider"}, "stripe"]}
    assert "PaymentProvider=stripe" in release.parameters("prod")
