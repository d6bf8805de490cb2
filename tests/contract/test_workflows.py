"""The files for GitHub agree with samconfig.toml, the pipeline's roles, the lock files and the functions' packages."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
import yaml
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from infra import templates
from tests.kit.template import ROOT

GITHUB = ROOT / ".github"
DEPLOY = yaml.safe_load((GITHUB / "workflows" / "deploy.yaml").read_text())
RENOVATE = json.loads((GITHUB / "renovate.json").read_text())
LOCKS = sorted(
    [
        ROOT / "requirements.lock",
        *ROOT.glob("infra/*.lock"),
        *(path.with_suffix(".txt") for path in ROOT.glob("*/*/requirements.in")),
    ]
)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_pipeline_deploys_to_the_region_and_the_stack_of_samconfig(environment: str) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())[environment]["global"]["parameters"]
    assert DEPLOY["jobs"]["deploy"]["env"]["AWS_REGION"] == config["region"]
    assert config["stack_name"] == f"mercato-{environment}"
    pattern = templates.read(ROOT / "infra" / "github.yaml")["Parameters"]["Stack"]["AllowedPattern"]
    assert re.fullmatch(pattern, config["stack_name"])


@pytest.mark.parametrize(
    ("subject", "is_one"),
    [
        ("repo:octocat/my-repo:environment:prod", True),
        ("repo:octocat@123456/my-repo@456789:environment:prod", True),
        ("repo:octocat/my-repo:ref:refs/heads/main", False),
        ("repo:octocat/my-repo:*", False),
        ("repo:octocat/*:environment:prod", False),
    ],
)
def test_the_roles_trust_one_environment_of_one_repository(subject: str, is_one: bool) -> None:
    template = templates.read(ROOT / "infra" / "github.yaml")
    assert bool(re.fullmatch(template["Parameters"]["Subject"]["AllowedPattern"], subject)) is is_one
    [trust] = template["Resources"]["Deployer"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {"Ref": "Subject"},
        }
    }


def test_cloudformation_may_do_to_roles_and_policies_what_it_says_it_does() -> None:
    """By the permissions in the schemas of its resources, which cfn-lint has. AWS's PowerUserAccess has none of IAM."""
    granted = {
        action
        for policy in templates.read(ROOT / "infra" / "github.yaml")["Resources"]["Executor"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }
    kinds = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::Role")
    schemas = [PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema for kind in kinds]
    needed = {
        action
        for schema in schemas
        for step in ("create", "read", "update", "delete")
        for action in schema["handlers"].get(step, {}).get("permissions", [])
        if not re.search("Group|User", action)  # the shop has neither
    }
    assert {"iam:CreateRole", "iam:CreatePolicyVersion", "iam:PutRolePolicy"} <= needed
    assert needed - granted == set()


def test_only_the_job_that_deploys_gets_a_token_and_no_workflow_has_a_stored_secret() -> None:
    workflows = {path.name: path.read_text() for path in GITHUB.glob("workflows/*.yaml")}
    granted = {
        (name, job)
        for name, text in workflows.items()
        for job, about in yaml.safe_load(text)["jobs"].items()
        if about["permissions"].get("id-token")
    }
    assert granted == {("deploy.yaml", "deploy"), ("deliver.yaml", "dev"), ("deliver.yaml", "prod")}
    assert [name for name, text in workflows.items() if "secrets" in text] == []
    assert {about["permissions"].get("contents") for text in workflows.values() for about in _jobs(text)} == {"read"}


def _jobs(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load(text)["jobs"].values())


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_renovate_finds_each_lock_file_and_its_command(path: Any) -> None:
    name = str(path.relative_to(ROOT))
    patterns = [pattern.strip("/") for pattern in RENOVATE["pip-compile"]["managerFilePatterns"]]
    assert any(re.search(pattern, name) for pattern in patterns)
    command = path.read_text().splitlines()[1].split()
    assert command[:4] == ["#", "uv", "pip", "compile"]
    assert f"--output-file={name}" in command
    assert (ROOT / command[-1]).is_file()


def test_renovate_has_the_packages_of_the_functions_in_one_group() -> None:
    """A layer's package has the same version in pyproject.toml, so that one pull request has to change both."""
    carried = {
        re.split(r"[\[=]", line)[0]
        for path in [*ROOT.glob("*/*/requirements.in"), ROOT / "layers/stripe/requirements.txt"]
        for line in path.read_text().splitlines()
        if line
    }
    [group] = [rule for rule in RENOVATE["packageRules"] if rule.get("groupName") == "packages of the functions"]
    assert carried <= set(group["matchPackageNames"])
    assert group["automerge"] is False
    elsewhere = {
        name for rule in RENOVATE["packageRules"] if rule is not group for name in rule.get("matchPackageNames", [])
    }
    assert carried.isdisjoint(elsewhere)
