"""Checks what `make deploy` is about to deploy: the parameters before SAM builds, and the build before SAM deploys it.

CloudFormation checks the parameters and the template's Rules too, but only after minutes of building and uploading, and
names one problem at a time. AWS does not check for which machine a library was built: a function with a foreign
library deploys, and fails at its first call.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import tomlkit

from infra import release, templates
from infra.paths import BUILD, ROOT
from infra.trouble import Trouble

UNFILLED = "FILL_IN"  # the value of a parameter in samconfig.toml that only the deployer can know
_PSEUDO = {"AWS::AccountId": "an account of AWS"}
_LIBRARY = re.compile(r"\.(so|dylib|pyd|dll)(\.[\d.]+)?$")
_ELF = b"\x7fELF"
_MACHINES = {62: "x86_64", 183: "arm64"}  # e_machine of an ELF file (EM_X86_64, EM_AARCH64), as Lambda names them


def problems_of(template: templates.Template, given: Mapping[str, str]) -> list[str]:
    """Returns the parameters that CloudFormation would refuse or that are not filled in, each with the reason."""
    declared = template["Parameters"]
    values = {name: str(about.get("Default", "")) for name, about in declared.items()} | dict(given)
    problems = [f"{name} is no parameter of the template" for name in given.keys() - declared.keys()]
    for name, about in declared.items():
        if values[name] == UNFILLED:
            problems.append(f"{name} is not filled in. {about.get('Description', '')}".strip())
        elif reason := _refusal(values[name], about):
            problems.append(f"{name}={values[name]} {reason}")
    for rule in template.get("Rules", {}).values():
        if _value(rule.get("RuleCondition", True), values):
            problems += [
                assertion["AssertDescription"]
                for assertion in rule["Assertions"]
                if not _value(assertion["Assert"], values)
            ]
    return problems


def _refusal(value: str, about: Mapping[str, Any]) -> str:
    """Returns why the parameter's declaration refuses the value, or an empty string if it allows it."""
    if "AllowedValues" in about and value not in map(str, about["AllowedValues"]):
        return f"is none of {', '.join(map(str, about['AllowedValues']))}"
    if not re.fullmatch(about.get("AllowedPattern", ".*"), value):
        return f"does not match {about['AllowedPattern']}"
    if about["Type"] == "Number":
        if not re.fullmatch(r"-?\d+", value):
            return "is no number"
        least, most = about.get("MinValue", int(value)), about.get("MaxValue", int(value))
        if not least <= int(value) <= most:
            return f"is not from {least} to {most}"
    return ""


def _value(expression: Any, values: Mapping[str, str]) -> Any:
    """Evaluates a rule's expression. Supports only the functions of CloudFormation's Rules that this project uses."""
    match expression:
        case {"Ref": name}:
            return values[name] if name in values else _PSEUDO[name]
        case {"Fn::Equals": [left, right]}:
            return _value(left, values) == _value(right, values)
        case {"Fn::Not": [one]}:
            return not _value(one, values)
        case {"Fn::And": several}:
            return all(_value(one, values) for one in several)
        case {"Fn::Contains": [[*several], one]}:
            return _value(one, values) in several
        case str() | bool():
            return expression
    raise ValueError(f"a rule cannot have {expression}")


def foreign_libraries(build: Path, architecture: str) -> Iterator[str]:
    """Yields the compiled libraries in the build that Lambda cannot load, each with the reason."""
    for path in sorted(path for path in build.rglob("*") if _LIBRARY.search(path.name) and path.is_file()):
        with path.open("rb") as file:
            head = file.read(20)
        machine = _MACHINES.get(int.from_bytes(head[18:20], "little"), "another machine")
        if not head.startswith(_ELF):
            yield f"{path.relative_to(build)} is not for Linux"
        elif machine != architecture:
            yield f"{path.relative_to(build)} is for {machine}, the functions run on {architecture}"


def filled_in(samconfig: str, environment: str, lines: str) -> str:
    """Returns samconfig.toml's text with the environment's parameters replaced or extended by NAME=VALUE lines.

    Empty lines are ignored. Raises Trouble for a line of another form.
    """
    config: Any = tomlkit.parse(samconfig)
    overrides = config[environment]["deploy"]["parameters"]["parameter_overrides"]
    places = {text.partition("=")[0]: place for place, text in enumerate(overrides)}
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, has_value, _ = line.partition("=")
        if not has_value or not re.fullmatch(r"[A-Za-z0-9]+", name):
            raise Trouble("a line of PARAMETERS is not NAME=VALUE", f"It begins with {line[:20]!r}.")
        if name in places:
            overrides[places[name]] = line
        else:
            overrides.append(line)
    return tomlkit.dumps(config)


def architecture_of(environment: str) -> str:
    """Returns the processor that the environment's functions run on, as Lambda names it."""
    given = dict(text.split("=", 1) for text in release.parameters(environment))
    declared = templates.read(ROOT / "template.yaml")["Parameters"]["Architecture"]
    return given.get("Architecture", str(declared["Default"]))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The checks that `make deploy` runs before it calls SAM."""


@main.command("parameters")
@click.argument("environment")
def check_parameters(environment: str) -> None:
    """Check the parameters of ENVIRONMENT in samconfig.toml (dev)."""
    given = dict(text.split("=", 1) for text in release.parameters(environment))
    problems = problems_of(templates.read(ROOT / "template.yaml"), given)
    region = release.region(environment)
    for name, whose in {"ApiCertificateArn": "the API's domain", "MeshCertificateArn": "the mesh's domain"}.items():
        certificate = given.get(name, "")
        if certificate and f":{region}:" not in certificate:  # a rule of the template cannot compare parts of a text
            problems.append(f"{name}={certificate} is not of {region}, where {whose} looks for it")
    if problems:
        raise Trouble(
            f"{environment} cannot be deployed with the parameters of samconfig.toml",
            "\n".join(f"- {problem}" for problem in problems)
            + f"\nChange them under [{environment}.deploy.parameters]; docs/going-live.md says where each comes from.",
        )


@main.command("fill")
@click.argument("environment")
def fill_in(environment: str) -> None:
    """Write the NAME=VALUE lines of the variable PARAMETERS into samconfig.toml, for ENVIRONMENT (dev).

    A pipeline has no samconfig.toml of its own, and keeps its parameters in such a variable.
    """
    release.parameters(environment)  # refuses an unknown environment
    path = ROOT / "samconfig.toml"
    path.write_text(filled_in(path.read_text(), environment, os.environ.get("PARAMETERS", "")))


@main.command("architecture")
@click.argument("environment")
def print_architecture(environment: str) -> None:
    """Print the processor for which ENVIRONMENT is built (x86_64)."""
    click.echo(architecture_of(environment))


@main.command("build")
@click.argument("environment")
def check_build(environment: str) -> None:
    """Check that Lambda can load the compiled libraries that `sam build` made for ENVIRONMENT."""
    if foreign := list(foreign_libraries(BUILD, architecture_of(environment))):
        raise Trouble(
            "the build has libraries that Lambda cannot load",
            "\n".join(f"- {library}" for library in foreign) + "\nRemove .aws-sam and run `make deploy` again.",
        )


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        sys.exit(str(trouble))
