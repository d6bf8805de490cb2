"""Writes each service's release into a build, so that a deploy publishes only the services that differ.

SAM publishes a new version of a function, and moves its alias to it, if the function's own code, settings or memory
differ. If only a layer, a parameter or the time-out differs, the alias would stay at the old version. So each service
has a release, a digest of everything that its versions consist of, which is a setting of each of its functions.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from infra import templates
from infra.paths import BUILD, ROOT

_SETTING = "RELEASE"


def stamp(build: Path, environment: str) -> dict[str, str]:
    """Writes each service's release into the build and returns the releases by service. Idempotent."""
    root = build / "template.yaml"
    whole = templates.read_whole(root)
    services = _services(whole)
    for function in _functions(whole):
        _settings(function).pop(_SETTING, None)
    given = parameters(environment)
    content = functools.cache(_digest)  # services share their layer's folder
    releases = {
        name: _release(functions, whole, given, lambda path: content((build / path).resolve()))
        for name, functions in services.items()
    }
    for path in templates.applications(root):
        template = templates.read(path)
        for name, functions in _services(template).items():
            for function in functions:
                _settings(function)[_SETTING] = releases[name]
        templates.write(path, template)
    return releases


def _services(template: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Groups the functions by service, which is the first package of their handlers."""
    found = defaultdict(list)
    for function in _functions(template):
        found[function["Properties"]["Handler"].partition(".")[0]].append(function)
    return dict(sorted(found.items()))


def _functions(template: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return templates.resources_of_type(template, "AWS::Serverless::Function").values()


def _settings(function: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = function["Properties"].setdefault("Environment", {}).setdefault("Variables", {})
    return found


def _release(
    functions: list[dict[str, Any]], template: dict[str, Any], given: list[str], content: Callable[[str], str]
) -> str:
    common = template["Globals"]["Function"]
    # A published version keeps its settings, and so the name of a table even if this deploy replaces the table.
    resources = _named([common["Environment"], *map(_settings, functions)], template)
    layers = _named([common["Layers"], *(function["Properties"].get("Layers") for function in functions)], template)
    folders = {function["Properties"]["CodeUri"] for function in functions}
    folders |= {layer["Properties"]["ContentUri"] for layer in layers.values()}
    contents = {folder: content(folder) for folder in folders}
    made_of = [
        functions,
        resources,
        layers,
        common,
        template["Parameters"],
        template["Conditions"],
        given,
        contents,
    ]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def _named(node: object, template: dict[str, Any]) -> dict[str, Any]:
    """Returns the definitions of the resources that `node` references by Ref, Fn::GetAtt or Fn::Sub."""
    words = re.findall(r"\w+", json.dumps(node))
    return {word: template["Resources"][word] for word in words if word in template["Resources"]}


def _digest(folder: Path) -> str:
    """Returns the digest of the folder's files, without compiled modules, which are derived from the sources."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"\n{path.relative_to(folder)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def parameters(environment: str) -> list[str]:
    """Reads the environment's parameters in samconfig.toml as NAME=VALUE. Raises BadParameter if it is unknown."""
    found: list[str] = _configured(environment)["deploy"]["parameters"]["parameter_overrides"]
    return found


def region(environment: str) -> str:
    """Returns the region that samconfig.toml deploys the environment to. Raises BadParameter if it is unknown."""
    return str(_configured(environment)["global"]["parameters"]["region"])


def _configured(environment: str) -> dict[str, Any]:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    if "deploy" not in config.get(environment, {}):
        raise click.BadParameter(f"samconfig.toml has no environment {environment!r} to deploy to")
    found: dict[str, Any] = config[environment]
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("environment")
def main(environment: str) -> None:
    """Write each service's release into the build that `sam build` made, for ENVIRONMENT of samconfig.toml (dev)."""
    for service, name in stamp(BUILD, environment).items():
        click.echo(f"release {name} of {service}")


if __name__ == "__main__":
    main()
