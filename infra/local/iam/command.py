"""`mercato iam`: lists the functions' permissions that were not used since the shop was started."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.local.iam.grants import Deployed
from infra.local.iam.report import Explanation, Report, compare
from infra.operator import target

EXPLANATIONS = Path(__file__).with_name("unused.yaml")


@click.command()
@click.option("--all", "everything", is_flag=True, help="Show explained permissions too.")
def iam(everything: bool) -> None:
    """List permissions that are granted but not used, by function.

    Remove each from its service's template.yaml, or explain it in infra/local/iam/unused.yaml. Only uses in the running
    shop count, so run the tests or the demo first, as `make iam-report` does. Exits with 1 if a permission is
    unexplained or an explanation is stale.
    """
    shop = target.load()
    deployed = Deployed(shop)
    report = compare(deployed.granted(), deployed.used(), explanations(has_mesh=bool(shop.mesh_ingress)))
    tell(Console(highlight=False), report, everything=everything)
    sys.exit(0 if report.is_fine else 1)


def explanations(*, has_mesh: bool) -> list[Explanation]:
    """Returns those of a shop with the mesh, or of one without."""
    found = (Explanation.read(entry) for entry in yaml.safe_load(EXPLANATIONS.read_text()))
    return [one for one in found if one.mesh in (None, has_mesh)]


def tell(console: Console, report: Report, *, everything: bool) -> None:
    shown = [verdict for verdict in report.unused if everything or verdict.why is None]
    if shown:
        table = Table("function", "granted", "on", "why it is kept")
        for verdict in shown:
            found, why = verdict.permission, verdict.why
            resource = found.resource.split(":", 5)[-1]
            cells = (found.function, found.action, resource, why or "✘ unused and unexplained")
            table.add_row(*(escape(cell) for cell in cells), style="dim" if why else "bold red")
        console.print(table)
    for one in report.stale:
        console.print(f"[yellow]✘ explains what is not granted:[/] {escape(', '.join(one.actions))}: {escape(one.why)}")
    used, explained = report.granted - len(report.unused), len(report.unused) - len(report.unexplained)
    sign = "[green]✔[/]" if report.is_fine else "[red]✘[/]"
    console.print(
        f"{sign} {report.granted} permissions: {used} used, {explained} unused and explained, "
        f"{len(report.unexplained)} unexplained"
    )
