"""`mercato trace <request id>`."""

from __future__ import annotations

import json

import click
from rich.console import Console

from infra.operator import target
from infra.operator.trace import printing
from infra.operator.trace.lines import lines_of
from infra.operator.trace.tree import trees_of


@click.command()
@click.argument("request_id")
@click.option("--json", "as_json", is_flag=True, help="Print the tree as JSON, with all ids.")
def trace(request_id: str, as_json: bool) -> None:
    """Show a request as a tree, from the functions' logs.

    REQUEST_ID is the X-Request-Id of the response; `mercato up` shows it at each line. The tree goes from the HTTP
    request through peers, events, their consumers and the saga's steps to the last e-mail. Exits with 1 if no function
    has logged the id.
    """
    found = target.chosen()
    lines = lines_of(target.client(found, "logs"), found.stack, request_id)
    if not lines:
        raise click.ClickException(
            f"no function has logged the request id {request_id}. Take it from the X-Request-Id of the answer: an "
            "invalid id that was sent is replaced. Ask again in a moment if it is new. What the gateway itself "
            "answered (no token, no such route, too fast) has reached no function."
        )
    story = trees_of(lines)
    if as_json:
        click.echo(json.dumps({"request_id": request_id, "story": [node.as_dict() for node in story]}, indent=2))
    else:
        printing.show(Console(), request_id, story)
