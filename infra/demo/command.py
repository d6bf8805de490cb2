"""`mercato demo`: runs the stories one after the other and ends with a table."""

from __future__ import annotations

from collections.abc import Sequence

import click
import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.demo import bad_stories, checkout_stories, good_stories, wish_stories
from infra.demo.report import Report
from infra.demo.stage import Stage
from infra.demo.story import Story
from infra.operator import target
from infra.operator.client import Shop, ShopError

STORIES: tuple[Story, ...] = (
    good_stories.STORIES[0],
    *checkout_stories.STORIES,
    *bad_stories.STORIES,
    *good_stories.STORIES[1:],
    *wish_stories.STORIES,
)


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([story.name for story in STORIES]),
    help="Run this story only; may be repeated.",
)
@click.option(
    "--patience",
    default=180,
    show_default=True,
    type=click.IntRange(1),
    help="Seconds to wait for an order to end.",
)
@click.option(
    "--park", is_flag=True, help="Create a saga that waits for an operator and print its address; run no story."
)
def demo(only: Sequence[str], patience: int, park: bool) -> None:
    """Run the shop's stories, good and bad, against the running shop.

    Each story has its own product and customers, so the demo can be repeated. For each you read the expected and the
    actual outcome; every ✔ is a check against the shop.

    Exits with 0 if every story ended as expected, 1 if one did not, 2 if no shop is running.
    """
    console = Console()
    shop_state = target.load()
    target.require_sandbox(shop_state, "the demo")
    shop = Shop(shop_state.base_url)
    try:
        admin = shop.login(shop_state.admin.email, shop_state.admin.password)
    except ShopError as error:
        raise target.NoShop(f"the shop at {shop_state.base_url} does not answer as it should ({error})") from error
    stage = Stage(shop, admin, shop_state.endpoint, patience, currency=shop_state.outputs.get("Currency", "GBP"))
    if park:
        console.print(f"It waits for you: {shop_state.base_url}/console/sagas/{park_a_saga(stage)}", soft_wrap=True)
        return
    results = [(story, tell(console, stage, story)) for story in STORIES if not only or story.name in only]
    show_endings(console, results)
    if not all(report.ended_well for _, report in results):
        raise SystemExit(1)


def park_a_saga(stage: Stage) -> str:
    """Returns the id of a saga that waits for an operator: a cancellation whose refund the bank refuses."""
    order_id, _ = stage.park(stage.new_customer("Petra"), "Parked vase", 2500)
    return f"{order_id}.cancellation"


def tell(console: Console, stage: Stage, story: Story) -> Report:
    """Runs one story. Records an error as a failed check, so that the next story can run."""
    console.print()
    console.rule(f"[bold]{escape(story.title)}[/]", align="left")
    console.print(f"  [dim]should end:[/] {escape(story.should)}", highlight=False)
    report = Report(console)
    try:
        story.tell(stage, report)
    except (ShopError, httpx.HTTPError, LookupError, TypeError) as error:
        report.check("the story ran to its end", False, f"{type(error).__name__}: {error}")
    return report


def show_endings(console: Console, results: Sequence[tuple[Story, Report]]) -> None:
    table = Table("", "story", "should", "what happened", title="How the stories ended", title_justify="left")
    for story, report in results:
        failures = "; ".join(f"{check.what}: {check.found}" for check in report.failures)
        mark = "[green]✔[/]" if report.ended_well else "[red]✘[/]"
        table.add_row(mark, story.title, story.should, escape(failures or report.ending))
    console.print()
    console.print(table)
    well = sum(report.ended_well for _, report in results)
    console.print(f"{well} of {len(results)} ended as they should.")
