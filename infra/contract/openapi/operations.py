"""The operations that a client may call, and what their own code says of them: no route declares it a second time."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from infra.contract.services import SERVICES
from infra.trouble import Trouble
from mercato import webhooks
from mercato.http import ADMIN, CUSTOMER, PUBLIC, App, Body, IdempotencyKey, Query, RawBody, Request, Response, Route

# What a route returns says its status: mercato.http.response has one function for each.
_STATUSES = {"Created": 201, "Accepted": 202, "NoContent": 204}


@dataclass(frozen=True)
class Operation:
    """One method at one path, with the types that its function's signature names."""

    service: str
    route: Route

    @property
    def name(self) -> str:
        return self.route.function.__name__

    @property
    def summary(self) -> str:
        return self.name.replace("_", " ").capitalize()

    @property
    def description(self) -> str:
        return " ".join((inspect.getdoc(self.route.function) or "").split())

    @property
    def is_public(self) -> bool:
        return PUBLIC in self.route.roles

    @property
    def roles(self) -> list[str]:
        """Whoever may be a customer may be an admin."""
        roles = {role for role in self.route.roles if role in (CUSTOMER, ADMIN)}
        return sorted(roles | {ADMIN}) if roles and not self.is_public else []

    @property
    def path_parameters(self) -> list[str]:
        return [name for name in self.route.parameters if f"{{{name}}}" in self.route.path]

    @property
    def query(self) -> type[Query] | None:
        return next((kind for kind in self._kinds() if issubclass(kind, Query)), None)

    @property
    def takes_key(self) -> bool:
        return IdempotencyKey in self.route.parameters.values()

    @property
    def is_signed(self) -> bool:
        return "verify" in _called(self.tree, webhooks.__name__.rpartition(".")[2])

    @property
    def body(self) -> type[BaseModel] | type[RawBody] | None:
        """What the signature takes as the body; for a route that reads the raw request, what it reads it as."""
        for kind in self._kinds():
            if issubclass(kind, (Body, RawBody)) or (issubclass(kind, BaseModel) and not issubclass(kind, Query)):
                return kind
        if Request not in self.route.parameters.values():
            return None
        names = [call.args[0].id for call in _calls(self.tree, "read_body") if isinstance(call.args[0], ast.Name)]
        if len(names) != 1:
            raise Trouble(f"{self} reads the raw request", "Take a RawBody, or read it by read_body(Model, …) once.")
        found: type[BaseModel] = self.route.function.__globals__[names[0]]
        return found

    @property
    def result(self) -> Any:
        """The type of the body that is answered; None where there is none."""
        returned = typing.get_type_hints(self.route.function)["return"]
        if typing.get_origin(returned) is Response:
            returned = typing.get_args(returned)[0]
        return None if returned is type(None) else returned

    @property
    def statuses(self) -> list[int]:
        """Of success. A route that returns a bare view answers 200."""
        returned = typing.get_type_hints(self.route.function)["return"]
        if typing.get_origin(returned) is not Response:
            return [200]
        found = {status for name, status in _STATUSES.items() for _ in _calls(self.tree, name)}
        for call in _calls(self.tree, "Response"):
            given = call.args[1] if len(call.args) > 1 else None
            found.add(given.value if isinstance(given, ast.Constant) and isinstance(given.value, int) else 200)
        if not found:
            raise Trouble(f"{self} does not say its status", "Answer by Created, Accepted, NoContent or Response.")
        return sorted(found)

    @property
    def has_location(self) -> bool:
        return bool({201, 202} & set(self.statuses)) and any(
            len(call.args) + len(call.keywords) > 1
            for name in ("Created", "Accepted")
            for call in _calls(self.tree, name)
        )

    @property
    def tree(self) -> ast.AST:
        return ast.parse(textwrap.dedent(inspect.getsource(self.route.function)))

    def _kinds(self) -> list[type]:
        return [kind for kind in self.route.parameters.values() if isinstance(kind, type)]

    def __str__(self) -> str:
        return f"{self.route.method} {self.route.path}"


def operations() -> list[Operation]:
    """Of all services, those that a user or the public may call through the gateway."""
    found = [operation for service in SERVICES for operation in _operations(service)]
    names: dict[str, Operation] = {}
    for operation in found:
        if operation.name in names:
            raise Trouble(
                f"{operation} and {names[operation.name]} are both {operation.name}",
                "Name one of the functions anew: an operation's id is its function's name.",
            )
        names[operation.name] = operation
    return found


def _operations(service: str) -> Iterator[Operation]:
    app: App = importlib.import_module(f"{service}.api").app
    for route in app.routes:
        if route.path.startswith("/api/") and route.roles & {PUBLIC, CUSTOMER, ADMIN}:
            yield Operation(service, route)


def _calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def _called(tree: ast.AST, module: str) -> set[str]:
    """The functions of the module that are called as `module.name`."""
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == module
    }
