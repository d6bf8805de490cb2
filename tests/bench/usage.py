"""The use of AWS: every call by function, service and action, and what of it AWS charges."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from tests.bench import capacity

CHUNK = 64 * 1024  # bytes by which EventBridge and SQS charge
_REFUSED = ("ConditionalCheckFailedException", "TransactionCanceledException")


@dataclass(frozen=True)
class Call:
    """One AWS call of a function, as it was sent."""

    function: str
    service: str
    action: str
    request: dict[str, Any]
    status: int
    answer: dict[str, Any]


@dataclass
class Usage:
    """`calls` by function, service and action; `units` by the name of what is charged; `events` by detail-type;
    `written` has write units by function.
    """

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    units: dict[str, Decimal] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    written: dict[str, Decimal] = field(default_factory=dict)

    def add(self, word: str, units: Decimal | int) -> None:
        self.units[word] = self.units.get(word, Decimal(0)) + units

    def count_of(self, service: str, action: str) -> int:
        """The calls of all functions."""
        return sum(count for (_, *called), count in self.calls.items() if called == [service, action])

    def count(self, call: Call) -> None:
        """A throttled or failed call counts as a call, and only SQS charges for it."""
        self.calls[call.function, call.service, call.action] += 1
        match call.service:
            case "dynamodb":
                self._count_table(call)
            case "events" if call.action == "PutEvents":
                for entry in call.request["Entries"]:
                    self.events[entry["DetailType"]] += 1
                    self.add("events", chunks(size_of_event(entry)))
                    self.add("archived gigabytes", Decimal(size_of_event(entry)) / 10**9)
            case "sqs":
                self.add("queue requests", chunks(len(json.dumps(call.request).encode())))
            case "ses":
                self.add("mails", len(recipients(call.request)))
            case "s3" if call.action == "PutObject":
                self.add("files", 1)
            case "servicediscovery" if call.action == "DiscoverInstances":
                self.add("discoveries", 1)
            case "secretsmanager":
                self.add("secret calls", 1)
            case "ssm":
                self.add("parameter calls", 1)

    def _count_table(self, call: Call) -> None:
        if call.status == 200 and call.action in capacity.READS:
            self.add("read units", capacity.units_of_read(call.action, call.request, call.answer))
        elif call.status == 200 and call.action in capacity.WRITES:
            table, indexes = capacity.units_of_write(call.answer)
            self._write(call.function, "write units, tables", table)
            self._write(call.function, "write units, indexes", indexes)
        elif call.action in capacity.WRITES and str(call.answer.get("__type", "")).endswith(_REFUSED):
            units = capacity.units_of_refused_write(call.action, call.request, call.answer)
            self._write(call.function, "write units, refused", units)

    def _write(self, function: str, word: str, units: Decimal) -> None:
        self.add(word, units)
        self.written[function] = self.written.get(function, Decimal(0)) + units


def chunks(size: int) -> int:
    return capacity.blocks(size, CHUNK)


def size_of_event(entry: dict[str, Any]) -> int:
    """The size that EventBridge counts: 14 bytes for a time, and source, detail-type, detail and resources."""
    texts = [entry["Source"], entry["DetailType"], entry.get("Detail", ""), *entry.get("Resources", [])]
    return 14 * ("Time" in entry) + sum(len(text.encode()) for text in texts)


def recipients(request: dict[str, Any]) -> list[str]:
    destination = request.get("Destination", {})
    return [one for kind in ("ToAddresses", "CcAddresses", "BccAddresses") for one in destination.get(kind) or []]


def action_of(service: str, method: str, path: str, target: str, body: bytes) -> str:
    """The API's name of the request, in any of AWS's protocols."""
    if target:
        return target.rpartition(".")[2]
    if service == "ses" and method == "POST" and path == "/v2/email/outbound-emails":
        return "SendEmail"
    if service == "lambda" and path.startswith("/_aws/lambda-url/"):
        return "InvokeFunctionUrl"
    if service == "s3" and method == "PUT":
        return "PutObject"
    named = parse_qs(body.decode("utf-8", "replace")).get("Action")
    return named[0] if named else f"{method} {path}"
