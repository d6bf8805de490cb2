"""The shop's API as pages see it, in this process: answers by docs/openapi.json, or as a test says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from mercato.peers.transport import Answer
from tests.kit.template import ROOT

CONTRACT = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))


def sample(schema: Mapping[str, Any], name: str = "") -> Any:
    """A value that the schema allows: its example if it has one, and one element of each list."""
    if name == "day":
        return "2026-11-28"
    if "$ref" in schema:
        return sample(CONTRACT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], name)
    for key in ("const", "default"):
        if key in schema and schema[key] is not None:
            return schema[key]
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(next(one for one in schema["anyOf"] if one.get("type") != "null"), name)
    match schema.get("type"):
        case "object":
            return {key: sample(value, key) for key, value in schema.get("properties", {}).items()}
        case "array":
            return [sample(schema["items"], name)]
        case "integer":
            return 3
        case "boolean":
            return True
        case _:
            is_time = schema.get("format") == "date-time" or name in ("at", "until") or name.endswith("_at")
            return "2026-11-28T12:00:00.000Z" if is_time else f"{name or 'text'}-1"


def answer_of_the_contract(method: str, path: str) -> tuple[int, Any]:
    """The status and body of the success that the contract promises at this path."""
    for template, methods in CONTRACT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), unquote(path)) and method.lower() in methods:
            status, response = next(iter(methods[method.lower()]["responses"].items()))
            content = next(iter(response.get("content", {}).values()), None)
            return int(status), None if content is None else sample(content["schema"])
    return 404, {"type": "urn:mercato:problem:not-found", "detail": f"{method} {path} is not in the contract"}


@dataclass
class ShopApi:
    """`answers`, by method and path, precede those of the contract. `asked` has every request, in order."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str, str, Any, dict[str, str]]] = field(default_factory=list)

    def peer(self, name: str) -> Peer:
        return Peer(name, self)

    def refuse(self, route: str, status: int, slug: str, detail: str = "No.", **extra: Any) -> None:
        self.answers[route] = (status, {"type": f"urn:mercato:problem:{slug}", "detail": detail, **extra})

    def of(self, route: str) -> list[tuple[str, str, str, Any, dict[str, str]]]:
        return [one for one in self.asked if f"{one[1]} {one[2].partition('?')[0]}" == route]


@dataclass
class Peer:
    name: str
    api: ShopApi

    def send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        self.api.asked.append((self.name, method, path, body, headers))
        bare = path.partition("?")[0]
        found = self.api.answers.get(f"{method} {bare}")
        if callable(found):
            found = found()
        status, said = answer_of_the_contract(method, bare) if found is None else found[:2]
        extra = found[2] if found is not None and len(found) > 2 else {}
        return Answer(status, extra, b"" if said is None else json.dumps(said).encode())
