"""Every command of `mercato` and of `aws` that a document names exists, with its options, and so does every route."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import click
import pytest
from botocore import xform_name

from infra.cli import main
from infra.operator.trace import lines
from tests.kit.routes import all_routes
from tests.kit.template import ROOT

HISTORY = ROOT / "CHANGELOG.md"
DOCUMENTS = [path for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))) if path != HISTORY]
CODE = re.compile(r"^ *```(\w*)\n(.*?)^ *```|`([^`]+)`", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?<![\w.@=-])mercato((?: +[^\s;&|#)`]+)+)")
ROUTE = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE)\s+(/api/[\w/{}‹›….-]*)")
AWS = re.compile(r"\baws ([a-z0-9-]+) ([a-z-]+)((?: +(?:\"[^\"]*\"|'[^']*'|[^\s;|)&]+))*)")
# Commands that the AWS CLI has beside the operations of a service.
OF_THE_CLI = {("cloudformation", "deploy"), ("cloudformation", "wait"), ("s3", "sync")}
NAMES_OF_THE_CLI = {"deploy": "codedeploy", "s3api": "s3"}
OPTIONS_OF_THE_CLI = {"query", "output", "region", "cli-binary-format"}
EXAMPLE = "/api/gifts"  # README's of a new service
ROUTES = [(served.route.method, served.route.pattern) for served in all_routes()]


def commands_in(text: str) -> list[str]:
    """The arguments of each call of `mercato`."""
    return COMMAND.findall(code_in(text))


def code_in(text: str) -> str:
    """A span of code may be broken over two lines, and a block has a call on a line."""
    pieces = [
        block.replace("\\\n", " ") or " ".join(span.split())
        for language, block, span in CODE.findall(text)
        if language != "mermaid"
    ]
    return "\n".join(pieces)


def problems_with_aws(text: str) -> Iterator[str]:
    """A document may leave out what a command needs, and names nothing that it does not have."""
    services = botocore.session.get_session()
    for service, command, rest in AWS.findall(code_in(text)):
        if (service, command) in OF_THE_CLI:
            continue
        model = services.get_service_model(NAMES_OF_THE_CLI.get(service, service))
        operations = {xform_name(name, "-"): model.operation_model(name) for name in model.operation_names}
        if command not in operations:
            yield f"aws {service} has no {command}"
            continue
        taken = operations[command].input_shape
        members = {xform_name(name, "-") for name in (taken.members if taken else ())} | OPTIONS_OF_THE_CLI
        options = re.findall(r" --([a-z0-9-]+)", re.sub(r"\"[^\"]*\"|'[^']*'", "", rest))
        yield from (
            f"aws {service} {command} has no --{option}"
            for option in options
            if option not in members and option.removeprefix("no-") not in members
        )


def problems_of(said: str) -> Iterator[str]:
    command: click.Command = main
    names, options = [], {one.split("=")[0] for one in said.split() if re.match(r"--[a-z]", one)}
    known = {"--help", *(name for parameter in main.params for name in parameter.opts)}
    for word in re.sub(r"--(stack|region|url) \S+", "", said).split():
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        if found is None:
            if not word.startswith("-"):
                yield f"mercato{said}: there is no {word}"
            return
        command = found
        names.append(word)
    known |= {name for parameter in command.params for name in parameter.opts}
    yield from (f"mercato{said}: {' '.join(names)} has no {option}" for option in sorted(options - known))
    if "--send" in options and "--note" not in options:
        yield f"mercato{said}: --send needs --note"


def lost_routes(text: str) -> list[str]:
    named = [(method, re.sub(r"\{\w*\}|‹[^›]*›|…", "x", path)) for method, path in ROUTE.findall(text)]
    return [
        f"{method} {path}"
        for method, path in named
        if not any(method == one and pattern.fullmatch(path) for one, pattern in ROUTES)
        and not path.startswith(EXAMPLE)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.name))
def test_each_command_and_each_route_of_a_document_exists(document: Path) -> None:
    text = document.read_text()

    assert [problem for said in commands_in(text) for problem in problems_of(said)] == []
    assert list(problems_with_aws(text)) == []
    assert lost_routes(text) == []


def test_what_does_not_exist_is_found() -> None:
    text = (
        "`mercato saga lose --retry`, `mercato --stack x dlq\nlist --lost`, `mercato saga`, "
        "GET /api/orders/lost/{id}/x, `mercato dlq redrive orders --send`, `aws sqs purge`, "
        "`aws sqs\npurge-queue --queue-url ‹url› --lost --query 'a --b'`, `aws s3api delete-object --no-lost`"
    )

    assert [problem for said in commands_in(text) for problem in problems_of(said)] == [
        "mercato saga lose --retry: there is no lose",
        "mercato --stack x dlq list --lost: dlq list has no --lost",
        "mercato dlq redrive orders --send: --send needs --note",
    ]
    assert list(problems_with_aws(text)) == [
        "aws sqs has no purge",
        "aws sqs purge-queue has no --lost",
        "aws s3api delete-object has no --no-lost",
    ]
    assert lost_routes(text) == ["GET /api/orders/lost/x/x"]


def test_the_runbook_has_the_permissions_of_a_trace() -> None:
    """On AWS, where it asks Logs Insights."""
    source = inspect.getsource(lines.query_lines) + inspect.getsource(lines._groups)
    called = {
        name
        for pair in re.findall(r"logs\.(start\w+|get_query\w+)\(|get_paginator\(\"(\w+)\"\)", source)
        for name in pair
    }
    actions = {"".join(word.capitalize() for word in name.split("_")) for name in called - {""}}
    [row] = re.findall(r"^\| `mercato trace` \| (.*) \|$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert actions == set(re.findall(r"[A-Z]\w+", row))
