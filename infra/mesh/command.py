"""`mercato mesh`: the mesh's policy, what is made of it, and its certificates."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from infra.mesh import certificates, compiled, policy
from infra.operator import target
from infra.paths import ROOT
from infra.trouble import Trouble


@click.group()
def mesh() -> None:
    """The service mesh: its policy and its certificates."""


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


@mesh.command("certs")
@click.option("--renew", is_flag=True, help="Run the issuer first, as its schedule does every hour.")
def show_certificates(renew: bool) -> None:
    """Show the mesh's certificates, and until when they are valid. Exits with 1 if one of them needs attention."""
    console = Console(highlight=False)
    shop = target.chosen()
    try:
        if renew:
            for service, outcome in certificates.renew(shop).items():
                console.print(f"{service}: {outcome}")
        authorities, leaves = certificates.rows(shop, datetime.now(UTC))
    except Trouble as trouble:
        raise click.ClickException(f"{trouble}: {trouble.remedy}") from None
    table = Table("certificate", "of", "valid until", "")
    for row in (*authorities, *leaves):
        table.add_row(row.name, row.issuer, row.ends_at, f"[yellow]{row.problem}[/]" if row.problem else "")
    console.print(table)
    if not authorities:
        console.print("There is no authority yet: mercato mesh certs --renew")
    sys.exit(1 if not authorities or any(row.problem for row in leaves) else 0)


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))
