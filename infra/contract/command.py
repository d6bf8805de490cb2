"""`mercato contract`: generates the documents that are derived from the code."""

from __future__ import annotations

import click

from infra.contract import events as generated
from infra.contract import stateful
from infra.paths import ROOT


@click.command()
@click.option("--release", is_flag=True, help="Keep what this version promises and deploys.")
@click.option("--breaks", is_flag=True, help="List each change that breaks clients of the last release.")
def contract(release: bool, breaks: bool) -> None:
    """Generate docs/events.md and docs/schemas/ from the publishers' models and the templates' subscriptions, and
    docs/openapi.json from the routes and their models.
    """
    changed = generated.write() + ([generated.release(), stateful.release()] if release else [])
    for path in changed:
        click.echo(f"wrote {path.relative_to(ROOT)}")
    found = [] if release else generated.breaking_clients()
    if found:
        click.echo(f"Changes that break clients of the last release, as the new version may: {len(found)} (--breaks)")
    if breaks:
        for change in found:
            click.echo(f"  {change}")
