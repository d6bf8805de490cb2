"""Generates the contracts from the code.

The contract between services is the event schemas with each event's publisher and consumers. The contract with the
shop's clients is the OpenAPI document.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import templates
from infra.contract.compatibility import breaking_changes
from infra.contract.openapi import clients, document
from infra.contract.services import SERVICES
from infra.paths import ROOT
from infra.trouble import Trouble
from mercato.events import EventModel, Reads, schema_id
from mercato.events.consumer import EVERY, Consumer

EVENTS_PAGE = ROOT / "docs" / "events.md"
SCHEMAS = ROOT / "docs" / "schemas"
OPENAPI = ROOT / "docs" / "openapi.json"
RELEASES = ROOT / "docs" / "releases"


@dataclass(frozen=True)
class Publication:
    service: str
    model: type[EventModel]


@dataclass(frozen=True)
class Subscription:
    """`module` has the consumer, and `queue` is its name without the shop's, such as documents-pdf."""

    service: str
    event_type: str
    reads: type[Reads]
    module: str
    queue: str


def publications() -> list[Publication]:
    found = [
        Publication(service, model)
        for service in SERVICES
        if importlib.util.find_spec(f"{service}.events")
        for model in importlib.import_module(f"{service}.events").PUBLISHES
    ]
    return sorted(found, key=lambda publication: publication.model.TYPE)


def subscriptions() -> list[Subscription]:
    return sorted(_subscriptions(), key=lambda subscription: (subscription.event_type, subscription.queue))


def _subscriptions() -> Iterator[Subscription]:
    for module, queue in sorted(_consumers().items()):
        for value in vars(importlib.import_module(module)).values():
            if isinstance(value, Consumer):
                for event_type, reads in _reads_of(value).items():
                    yield Subscription(module.partition(".")[0], event_type, reads, module, queue)


def _reads_of(consumer: Consumer) -> dict[str, type[Reads]]:
    """Returns what the consumer reads of each event type of the shop."""
    found = {event_type: reads for event_type, (reads, _) in consumer.subscriptions.items()}
    if EVERY in found:
        found = dict.fromkeys(_published(), found.pop(EVERY)) | found
    # SES's reports come by the default bus.
    return {event_type: reads for event_type, reads in found.items() if not event_type.startswith("Email ")}


def _published() -> list[str]:
    return [publication.model.TYPE for publication in publications()]


def _consumers() -> dict[str, str]:
    """The modules of all consumers with their queues: a service's `consumers`, and each that a template subscribes."""
    found = {f"{name}.consumers": name for name in SERVICES if importlib.util.find_spec(f"{name}.consumers")}
    for path, parameters in _subscribed():
        functions = templates.resources_of_type(templates.read(path), "AWS::Serverless::Function")
        handler = functions[parameters["FunctionArn"]["Ref"].removesuffix(".Alias")]["Properties"]["Handler"]
        found[handler.removesuffix(".handler")] = parameters["QueueName"]["Fn::Sub"].removeprefix("${Shop}-")
    return found


def _subscribed() -> Iterator[tuple[Path, dict[str, Any]]]:
    """The parameters of each stack that subscribes a function to event types, with the template that has it."""
    for path in sorted(ROOT.glob("functions/*/template.yaml")):
        for stack in templates.resources_of_type(templates.read(path), "AWS::CloudFormation::Stack").values():
            if stack["Properties"]["Parameters"].get("EventTypes"):
                yield path, stack["Properties"]["Parameters"]


def listeners() -> dict[str, list[str]]:
    """Returns the services that the templates subscribe to each event type."""
    found: dict[str, list[str]] = {}
    for path, parameters in _subscribed():
        types = parameters["EventTypes"]
        for event_type in _published() if types == EVERY else types.split(","):
            found.setdefault(event_type, []).append(path.parent.name)
    return found


def schema_of(model: type[EventModel]) -> dict[str, Any]:
    schema = model.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schema_id(model)} | schema


def _schema_path(model: type[EventModel]) -> Path:
    return SCHEMAS / f"{model.TYPE}.v{model.VERSION}.json"


def files() -> dict[Path, str]:
    """Returns the path and the content of every generated file."""
    found = {
        _schema_path(publication.model): json.dumps(schema_of(publication.model), indent=2) + "\n"
        for publication in publications()
    }
    return found | {
        EVENTS_PAGE: _page(),
        OPENAPI.resolve(): json.dumps(document.build(), indent=1, ensure_ascii=False) + "\n",
    }


def breaking() -> list[str]:
    """Returns the breaking changes from the written schemas to the publishers' models, each with its event."""
    return [
        f"{path.stem}: {change}"
        for publication in publications()
        if (path := _schema_path(publication.model)).exists()
        for change in breaking_changes(json.loads(path.read_text()), schema_of(publication.model))
    ]


def last_release() -> Path | None:
    """Returns the path of the newest release's OpenAPI document, or None if there is no release."""
    found = sorted(RELEASES.glob("openapi-*.json"), key=lambda path: [int(part) for part in _version(path).split(".")])
    return found[-1] if found else None


def _version(path: Path) -> str:
    return path.stem.removeprefix("openapi-")


def breaking_clients() -> list[str]:
    """Returns the changes since the last release that break its clients."""
    release = last_release()
    return clients.breaks(json.loads(release.read_text()), document.build()) if release else []


def may_break_clients() -> bool:
    """Tells whether the current version may break clients of the last release."""
    release = last_release()
    return release is not None and clients.may_break(_version(release), document.version())


def release() -> Path:
    """Writes the OpenAPI document of this version's release. Raises Trouble if this version has another one already."""
    path = RELEASES / f"openapi-{document.version()}.json"
    text = files()[OPENAPI.resolve()]
    if path.exists() and path.read_text() != text:
        raise Trouble(f"{path.name} is released", "Raise the version in pyproject.toml.")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def write() -> list[Path]:
    """Writes the generated files that differ. Returns the paths that were written or deleted.

    Raises Trouble if a change breaks an event's consumers or the API's clients.
    """
    if (found := breaking_clients()) and not may_break_clients():
        raise Trouble(
            "the last release's clients would break: " + "; ".join(found),
            "Keep what they use beside the new, or raise the version in pyproject.toml: before 1.0.0 the minor one.",
        )
    if found := breaking():
        raise Trouble(
            "the events' readers would break: " + "; ".join(found),
            "Keep the fields as they are, or publish a new VERSION of the event beside the old one.",
        )
    wanted, changed = files(), []
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    for path in SCHEMAS.glob("*.json"):
        if path not in wanted:
            path.unlink()
            changed.append(path)
    return changed


def _page() -> str:
    consumers = listeners()
    lines = [
        "# Events",
        "",
        "Generated by `mercato contract` from the publishers' models; do not edit.",
        "",
        "Each event is the `detail` of an EventBridge entry: a CloudEvents 1.0 envelope with the fields `specversion,",
        "id, source, type, time, subject, datacontenttype, dataschema, sequence, correlationid, causationid,",
        "traceparent, tracestate` and `data`, shown below. `source` on the bus is `mercato.<service>`, `detail-type`",
        "the type. Delivery is at least once; the relay keeps the order per subject, the bus does not: compare",
        "`sequence`, and deduplicate by `id`.",
        "",
        "`sequence` is the sequence extension of CloudEvents: ten digits, whose order as text is the order of the",
        "events of one `source` and `subject`. Events of one change may have the same: compare it by type. Events of",
        "earlier releases have no leading zeros; read the number.",
        "",
        "`dataschema` ends with the version of the event: `urn:mercato:event:order.created:1`. Under the same version",
        "later releases may add fields: ignore those that you do not know, and refuse no event by an older schema.",
        "What breaks a reader is a new version, published beside the old one.",
        "",
        "```mermaid",
        "flowchart LR",
        *sorted(
            {
                f"  {publication.service} -- {publication.model.TYPE} --> {listener}"
                for publication in publications()
                for listener in consumers.get(publication.model.TYPE, [])
            }
        ),
        "```",
        "",
        "| event | published by | consumed by |",
        "|---|---|---|",
    ]
    for publication in publications():
        kind = publication.model.TYPE
        told = ", ".join(consumers.get(kind, [])) or "–"
        lines.append(f"| [{kind}](#{kind.replace('.', '')}) | {publication.service} | {told} |")
    for publication in publications():
        model = publication.model
        lines += [
            "",
            f"## {model.TYPE}",
            "",
            f"{(model.__doc__ or '').strip()} [Schema](schemas/{model.TYPE}.v{model.VERSION}.json)",
            "",
            "```json",
            json.dumps(model.EXAMPLE, indent=2),
            "```",
        ]
    return "\n".join(lines) + "\n"
