"""Finds the operations that a client may call, and derives their description from the route's own code."""

from __future__ import annotations

import importlib
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from infra.contract.services import SERVICES
from infra.trouble import Trouble
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PUBLIC,
    App,
    Body,
    IdempotencyKey,
    Query,
    RawBody,
    Response,
    Route,
    SignedBody,
    Webhook,
)


@dataclass(frozen=True)
class Operation:
    """One method at one path, with the types in its function's signature."""

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
        """What the route does, and then what its query's model says of the parameters, which are no component."""
        said = [self.route.function.__doc__, vars(self.query).get("__doc__") if self.query else None]
        return " ".join(word for text in said for word in (text or "").split())

    @property
    def is_public(self) -> bool:
        return PUBLIC in self.route.roles

    @property
    def roles(self) -> list[str]:
        """The roles that may call the operation. Admins may call every operation of customers."""
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
        """Tells whether requests are signed as in mercato.webhooks. Stripe's documents describe its own signatures."""
        return any(typing.get_origin(kind) is Webhook for kind in self.route.parameters.values())

    @property
    def body(self) -> type[BaseModel] | type[RawBody] | None:
        for kind in self.route.parameters.values():
            if issubclass(typing.get_origin(kind) or object, SignedBody):
                found: type[BaseModel] = typing.get_args(kind)[0]
                return found
        for kind in self._kinds():
            if issubclass(kind, (Body, RawBody)) or (issubclass(kind, BaseModel) and not issubclass(kind, Query)):
                return kind
        return None

    @property
    def result(self) -> Any:
        """The type of the response's body, or None if it has none."""
        returned = self._returned
        if self._response is not None:
            returned = next(iter(typing.get_args(returned)), None)
        return None if returned is type(None) else returned

    @property
    def status(self) -> int:
        """The status of a successful response. A route that returns a bare view answers 200."""
        return self._response.success if self._response else 200

    @property
    def has_location(self) -> bool:
        return self._response is not None and self._response.has_location

    @property
    def _returned(self) -> Any:
        return typing.get_type_hints(self.route.function)["return"]

    @property
    def _response(self) -> type[Response[Any]] | None:
        kind = typing.get_origin(self._returned) or self._returned
        return kind if isinstance(kind, type) and issubclass(kind, Response) else None

    def _kinds(self) -> list[type]:
        return [kind for kind in self.route.parameters.values() if isinstance(kind, type)]

    def __str__(self) -> str:
        return f"{self.route.method} {self.route.path}"


def operations() -> list[Operation]:
    """Returns the operations of all services that a user or the public may call through the gateway."""
    found = [operation for service in SERVICES for operation in _operations(service)]
    names: dict[str, Operation] = {}
    for operation in found:
        if operation.name in names:
            raise Trouble(
                f"{operation} and {names[operation.name]} are both {operation.name}",
                "Rename one of the functions: an operation's id is its function's name.",
            )
        names[operation.name] = operation
    return found


def _operations(service: str) -> Iterator[Operation]:
    app: App = importlib.import_module(f"{service}.api").app
    for route in app.routes:
        if route.path.startswith("/api/") and route.roles & {PUBLIC, CUSTOMER, ADMIN}:
            yield Operation(service, route)
