"""`mercato demo`: tells the stories one after the other and ends with a table."""

from __future__ import annotations

from collections.abc import Sequence

import click
import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.demo import bad_stories, good_stories
from infra.demo.stage import Stage
from infra.demo.story import Story
from infra.demo.telling import Telling
from infra.operator import target
from infra.operator.client import Shop, ShopError

STORIES: tuple[Story, ...] = (good_stories.STORIES[0], *bad_stories.STORIES, *good_stories.STORIES[1:])


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([story.name for story in STORIES]),
    help="Tell this story only; may be repeated.",
)
@click.option(
    "--patience",
    default=180,
    show_default=True,
    type=click.IntRange(1),
    help="Seconds to wait for an order to come to its end.",
)
def demo(only: Sequence[str], patience: int) -> None:
    """Tell the shop's stories, good and bad, against the running shop.

    Each story has a product and customers of its own, so that the demo can run again and again. For each you read what
    should happen and what did; every ✔ is a question that was asked of the shop.

    Ends with status 0 if every story ended as it should, 1 if one did not, 2 if no shop is running.
    """
    console = Console()
    shop_state = target.load()
    target.require_sandbox(shop_state, "the demo")
    shop = Shop(shop_state.base_url)
    try:
        admin = shop.login(shop_state.admin.email, shop_state.admin.password)
    except ShopError as error:
        raise target.NoShop(f"the shop at {shop_state.base_url} does not answer as it should ({error})") from error
    stage = Stage(shop, admin, shop_state.endpoint, patience)
    told = [(story, tell(console, stage, story)) for story in STORIES if not only or story.name in only]
    show_endings(console, told)
    if not all(telling.ended_well for _, telling in told):
        raise SystemExit(1)


def tell(console: Console, stage: Stage, story: Story) -> Telling:
    """One story. What goes wrong in it is a check that does not hold, and the next story is told all the same."""
    console.print()
    console.rule(f"[bold]{escape(story.title)}[/]", align="left")
    console.print(f"  [dim]should end:[/] {escape(story.should)}", highlight=False)
    telling = Telling(console)
    try:
        story.tell(stage, telling)
    except (ShopError, httpx.HTTPError, LookupError, TypeError) as error:
        telling.check("the story could be told to its end", False, f"{type(error).__name__}: {error}")
    return telling


def show_endings(console: Console, told: Sequence[tuple[Story, Telling]]) -> None:
    table = Table("", "story", "should", "what happened", title="How the stories ended", title_justify="left")
    for story, telling in told:
        failures = "; ".join(f"{check.what}: {check.found}" for check in telling.failures)
        mark = "[green]✔[/]" if telling.ended_well else "[red]✘[/]"
        table.add_row(mark, story.title, story.should, escape(failures or telling.ending))
    console.print()
    console.print(table)
    well = sum(telling.ended_well for _, telling in told)
    console.print(f"{well} of {len(told)} ended as they should.")
