"""What a deploy brings to the shop that runs: SAM itself says which functions get a new version."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

with warnings.catch_warnings(action="ignore"):
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

from infra import release
from tests.template import load_template, resources_of_type

PACKAGED = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
    "AWS::CloudFormation::Stack": "TemplateURL",
}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """As `sam build` leaves it: the template in its long form, the code beside it."""
    template = copy.deepcopy(load_template())
    for resource in template["Resources"].values():
        if name := PACKAGED.get(resource["Type"]):
            resource["Properties"][name] = "s3://bucket/key"
    (tmp_path / "template.yaml").write_text(yaml.safe_dump(template))
    (tmp_path / "CommonLayer").mkdir()
    (tmp_path / "CommonLayer" / "dynamo.py").write_text("ATTEMPTS = 6\n")
    return tmp_path


def versions(build: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The versions of functions that CloudFormation would find in the deployed template."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    template: dict[str, Any] = yaml.safe_load((build / "template.yaml").read_text())
    translated = Translator({}, Parser()).translate(template, {"Environment": "dev"})
    return {name for name, found in translated["Resources"].items() if found["Type"] == "AWS::Lambda::Version"}


def test_another_layer_publishes_every_function_and_nothing_new_publishes_none(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release.stamp(build, "dev")
    before = versions(build, monkeypatch)
    release.stamp(build, "dev")
    assert versions(build, monkeypatch) == before

    (build / "CommonLayer" / "dynamo.py").write_text("ATTEMPTS = 7\n")
    release.stamp(build, "dev")

    after = versions(build, monkeypatch)
    assert len(after) == len(before) == len(resources_of_type("AWS::Serverless::Function"))
    assert after & before == set()


def test_other_parameters_other_code_and_another_template_are_other_releases(build: Path) -> None:
    names = [release.stamp(build, "dev"), release.stamp(build, "prod")]
    (build / "CommonLayer" / "money.py").write_text("")
    names.append(release.stamp(build, "prod"))
    template = yaml.safe_load((build / "template.yaml").read_text())
    template["Globals"]["Function"]["Timeout"] = 19
    (build / "template.yaml").write_text(yaml.safe_dump(template))
    names.append(release.stamp(build, "prod"))
    assert len(set(names)) == 4


def test_what_modules_are_compiled_to_is_no_other_release(build: Path) -> None:
    before = release.stamp(build, "dev")
    (build / "CommonLayer" / "__pycache__").mkdir()
    (build / "CommonLayer" / "__pycache__" / "dynamo.cpython-313.pyc").write_bytes(b"\0")
    assert release.stamp(build, "dev") == before


def test_the_name_is_among_the_settings_of_every_function(build: Path) -> None:
    name = release.stamp(build, "dev")
    template = yaml.safe_load((build / "template.yaml").read_text())
    assert template["Globals"]["Function"]["Environment"]["Variables"]["RELEASE"] == name


def test_an_environment_that_nobody_knows_is_refused(build: Path) -> None:
    with pytest.raises(click.BadParameter, match="no environment 'production'"):
        release.stamp(build, "production")


def test_prod_takes_no_cards_of_the_sandbox() -> None:
    [rule] = [rule for name, rule in load_template()["Rules"].items() if name == "ProdTakesMoney"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Environment"}, "prod"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [{"Ref": "PaymentProvider"}, "stripe"]}
    assert "PaymentProvider=stripe" in release._parameters("prod")
