"""Names the release in a build, so that a deploy brings everything that differs.

SAM publishes a new version of a function, and moves its alias there, where the function's own code, settings or memory
differ. With another layer, parameter or time-out alone, the aliases, and so the shop, would go on as before. The name
is made of all that is built and of the environment's parameters, and stands among the settings of each function.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import yaml

from infra.paths import BUILD, ROOT

_SETTING = "RELEASE"


def stamp(build: Path, environment: str) -> str:
    """Returns the name. Stamping again changes nothing."""
    path = build / "template.yaml"
    template = yaml.safe_load(path.read_text())
    settings = template["Globals"]["Function"]["Environment"]["Variables"]
    settings.pop(_SETTING, None)
    settings[_SETTING] = _name(template, build, environment)
    path.unlink()  # it may be a link to the cached build's own
    path.write_text(yaml.safe_dump(template, sort_keys=False))
    return str(settings[_SETTING])


def _name(template: object, build: Path, environment: str) -> str:
    digest = hashlib.sha256(json.dumps([template, _parameters(environment)], sort_keys=True).encode())
    for file in _files(build):
        digest.update(f"\n{file.relative_to(build)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _files(build: Path) -> Iterator[Path]:
    """What modules are compiled to follows from the modules."""
    found = (path for path in build.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    yield from sorted(path for path in found if path != build / "template.yaml")


def _parameters(environment: str) -> list[str]:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    if "deploy" not in config.get(environment, {}):
        raise click.BadParameter(f"samconfig.toml has no environment {environment!r} to deploy to")
    found: list[str] = config[environment]["deploy"]["parameters"]["parameter_overrides"]
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("environment")
def main(environment: str) -> None:
    """Name the release in the build that `sam build` made, for ENVIRONMENT of samconfig.toml, such as dev."""
    click.echo(f"release {stamp(BUILD, environment)}")


if __name__ == "__main__":
    main()
