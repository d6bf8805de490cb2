"""`mercato trace <request id>`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from infra.operator import target
from infra.operator.refusals import explain
from infra.operator.trace import printing
from infra.operator.trace.lines import Line, lines_of, query_lines
from infra.operator.trace.tree import trees_of
from infra.trouble import Trouble


@click.command()
@click.argument("request_id")
@click.option("--json", "as_json", is_flag=True, help="Print the tree as JSON, with all ids.")
@click.option("--hours", type=click.IntRange(1, 720), default=24, help="On AWS: how far back to look; default 24.")
def trace(request_id: str, as_json: bool, hours: int) -> None:
    """Show a request as a tree, from the functions' logs.

    REQUEST_ID is the X-Request-Id of the response; `mercato up` shows it at each line. The tree goes from the HTTP
    request through peers, events, their consumers and the saga's steps to the last e-mail. Exits with 1 if no function
    has logged the id.
    """
    found = target.chosen()
    lines = _lines(found, request_id, timedelta(hours=hours))
    if not lines:
        raise click.ClickException(
            f"no function has logged the request id {request_id}. Take it from the X-Request-Id of the answer: an "
            "invalid id that was sent is replaced. Ask again in a moment if it is new. What the gateway itself "
            "answered (no token, no such route, too fast) has reached no function. On AWS, --hours looks further back."
        )
    story = trees_of(lines)
    if as_json:
        click.echo(json.dumps({"request_id": request_id, "story": [node.as_dict() for node in story]}, indent=2))
    else:
        printing.show(Console(), request_id, story)


def _lines(shop: target.Target, request_id: str, back: timedelta) -> list[Line]:
    logs = target.client(shop, "logs")
    if shop.endpoint:
        return lines_of(logs, shop.stack, request_id)
    now = datetime.now(UTC)
    try:
        return query_lines(logs, shop.stack, request_id, now - back, now)
    except Trouble as trouble:
        raise click.ClickException(f"{trouble.what}. {trouble.remedy}") from None
    except (ClientError, BotoCoreError) as error:
        raise target.NoShop(f"the logs of {shop.stack} cannot be read: {explain(error)}") from None
