"""`mercato mesh`: the mesh's policy, and what is made of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from infra.mesh import compiled, policy
from infra.paths import ROOT
from infra.trouble import Trouble


@click.group()
def mesh() -> None:
    """The service mesh: its policy, weights, certificates and calls."""


@mesh.command("compile")
@click.option("--check", is_flag=True, help="Write nothing; fail where something is not as the policy says.")
def compile_policy(check: bool) -> None:
    """Check infra/mesh/policy.yaml, and write the sidecars' configurations and the callees' table."""
    console = Console()
    try:
        found = policy.read()
    except Trouble as trouble:
        console.print(f"[red]{trouble.what}[/]\n{trouble.remedy}", highlight=False)
        sys.exit(1)
    if check:
        stale = [path for path, text in compiled.files(found).items() if not path.exists() or path.read_text() != text]
        for path in stale:
            console.print(f"[red]stale[/] {_short(path)}: run `mercato mesh compile`")
        sys.exit(1 if stale else 0)
    for path in compiled.write(found):
        console.print(f"[green]wrote[/] {_short(path)}")


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))
