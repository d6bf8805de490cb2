"""`mercato mesh`: the mesh's policy, what is made of it, its certificates, and who gets the calls."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from infra.mesh import certificates, compiled, graph, policy, registry
from infra.mesh.registry import Instance, Registry
from infra.operator import target
from infra.operator.refusals import explain
from infra.paths import ROOT
from infra.trouble import Trouble


@click.group()
def mesh() -> None:
    """The service mesh: its policy, its certificates, and which version of a service gets how many calls."""


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
    with _told():
        if renew:
            for service, outcome in certificates.renew(shop).items():
                console.print(f"{service}: {outcome}")
        authorities, leaves = certificates.rows(shop, datetime.now(UTC))
    console.print(_certificates(authorities, leaves))
    if not authorities:
        console.print("There is no authority yet: mercato mesh certs --renew")
    sys.exit(1 if not authorities or any(row.problem for row in leaves) else 0)


@mesh.command()
def status() -> None:
    """Show the callers' certificates, and the versions of each service with their shares and their health.

    Exits with 1 if a certificate needs attention, or an instance that has a share of the calls is not healthy.
    """
    shop = target.chosen()
    with _told():
        _, leaves = certificates.rows(shop, datetime.now(UTC))
        cloud_map = Registry(shop)
        found = {service: cloud_map.discover(service) for service in sorted(policy.read().services)}
    console = Console(highlight=False)
    console.print(_certificates([], leaves))
    table = Table("service", "version", "instance", "weight", "share", "health")
    for service, instances in found.items():
        total = sum(one.weight for one in instances if one.is_healthy)
        for number, one in enumerate(instances):
            share = f"{one.weight / total:.0%}" if one.is_healthy and total else "–"
            health = one.health.lower()
            table.add_row(
                "" if number else service,
                one.version,
                one.id,
                str(one.weight),
                share,
                f"[green]{health}[/]" if one.is_healthy else f"[bold red]{health}[/]",
            )
        if not instances:
            table.add_row(service, "[bold red]no instance[/]")
    console.print(table)
    ingress = shop.outputs.get("MeshIngress", "")
    if ingress:
        console.print(f"The ingress is the API {ingress}")
    else:
        console.print("There is no ingress: peers are called by their function URLs.")
    sys.exit(1 if any(row.problem for row in leaves) or not all(map(_is_well, found.values())) else 0)


@mesh.command()
@click.argument("service")
@click.argument("weights", nargs=-1, required=True, metavar="VERSION=PERCENT...")
def weight(service: str, weights: tuple[str, ...]) -> None:
    """Divide the calls of SERVICE between its versions, such as `mercato mesh weight products canary=10`.

    The live version gets the rest. A version that is not named gets no calls. Callers follow at a call that they make
    30 seconds later or more. No deploy is needed, and none changes the weights back.
    """
    shop = target.chosen()
    with _told():
        certificates.require_mesh(shop)
        made = registry.set_weights(shop, policy.read(), service, _read_weights(weights))
    for change in made:
        click.echo(f"{change.instance.id} ({change.instance.version}): {change.instance.weight} → {change.weight}")
    if not made:
        click.echo("unchanged: the versions have these weights")


@mesh.command("graph")
@click.option("--minutes", type=click.IntRange(1, 1440), default=60, help="How far back to look; default 60.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Print a diagram in Mermaid instead of a table.")
def show_graph(minutes: int, as_mermaid: bool) -> None:
    """Show who called whom through the mesh, from the sidecars' logs, and which edges of the policy nobody used.

    A refused call is one that the policy does not list.
    """
    shop = target.chosen()
    with _told():
        certificates.require_mesh(shop)
        found, is_partial = graph.read(shop, timedelta(minutes=minutes))
    if as_mermaid:
        click.echo("\n".join(graph.mermaid(found)))
    else:
        Console(highlight=False).print(graph.table(found))
    if is_partial:
        click.echo("These are the newest 10,000 calls: there may be more. Ask for a shorter time: --minutes", err=True)


def _read_weights(given: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in given:
        version, equals, percent = text.partition("=")
        if not (version and equals and percent.isdecimal() and percent.isascii()):
            raise click.UsageError(f"{text} is no VERSION=PERCENT, such as canary=10")
        if version in found:
            raise click.UsageError(f"{version} is named twice")
        found[version] = int(percent)
    return found


def _is_well(instances: list[Instance]) -> bool:
    return bool(instances) and all(one.is_healthy for one in instances if one.weight)


def _certificates(authorities: list[certificates.Row], leaves: list[certificates.Row]) -> Table:
    table = Table("certificate", "of", "age", "valid until", "")
    for row in (*authorities, *leaves):
        table.add_row(row.name, row.issuer, row.age, row.ends_at, f"[yellow]{row.problem}[/]" if row.problem else "")
    return table


@contextmanager
def _told() -> Iterator[None]:
    """Ends the command with a message where the shop or AWS refuses."""
    try:
        yield
    except Trouble as trouble:
        raise click.ClickException(f"{trouble.what}. {trouble.remedy}") from None
    except (ClientError, BotoCoreError) as error:
        raise click.ClickException(f"AWS refused: {explain(error)}") from None


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))
