"""Finds the problems that an operation may return: those of HTTP itself and those that its code can raise.

The analysis reads the source and finds too many rather than too few: it follows a method call by name to all of the
service's classes that have such a method.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from infra.contract.openapi.never_returned import NEVER
from infra.contract.openapi.operations import Operation
from mercato.errors import (
    DomainError,
    Forbidden,
    IdempotencyKeyReused,
    Malformed,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
)
from mercato.http import charsets, rate_limit, request
from mercato.http.idempotency import RequestInFlight
from mercato.http.request import Query
from mercato.http.response import status_of
from mercato.store.dynamo import InvalidCursor

_TRANSLATED = ("mercato.peers.client", "mercato.store.dynamo")
_OF_KEYS = {request.InvalidIdempotencyKey, IdempotencyKeyReused, RequestInFlight}
_OF_AWS = "mercato.aws."  # its methods are botocore's, whatever they are called

Problems = dict[int, set[type[DomainError]]]


def problems_of(operation: Operation) -> Problems:
    """Returns the error classes by status, without those that need an unknown path or method."""
    found: Problems = {}
    never = never_answered(operation)
    for kind in _expected(operation) | reachable_errors(operation):
        if kind in _OF_KEYS and not operation.takes_key:
            continue
        if kind.slug() not in never and not issubclass(kind, MethodNotAllowed):
            found.setdefault(status_of(kind)[0], set()).add(kind)
    return dict(sorted(found.items()))


def never_answered(operation: Operation) -> set[str]:
    """Returns the problem types that the route's code names but that the route never returns."""
    name = f"{operation.route.method} {operation.route.path}"
    return {slug for _, route, slugs in NEVER for slug in slugs if route == name}


def _expected(operation: Operation) -> set[type[DomainError]]:
    found: set[type[DomainError]] = {request.InvalidRequest, request.HeadersTooLarge, TooManyRequests}
    if operation.route.limit is not None:
        found.add(rate_limit.RateLimited)
    if operation.body is not None:
        found |= {Malformed, TooLarge, charsets.UnsupportedCharset, request.UnsupportedEncoding}
    if any(
        isinstance(kind, type) and issubclass(kind, Query) and "cursor" in kind.model_fields
        for kind in operation.route.parameters.values()
    ):
        found.add(InvalidCursor)
    if operation.takes_key:
        found.add(request.InvalidIdempotencyKey)
    if not operation.is_public:
        found |= {Unauthenticated, Forbidden}
    if operation.path_parameters:
        found.add(NotFound)
    return found


def reachable_errors(operation: Operation) -> set[type[DomainError]]:
    methods = _methods_of(operation.service)
    found: set[type[DomainError]] = set()
    seen: set[Callable[..., Any]] = set()
    left: list[FunctionType] = [inspect.unwrap(operation.route.function)]
    while left:
        function = left.pop()
        if function in seen:
            continue
        seen.add(function)
        for thing in _things_named_in(function, methods):
            if isinstance(thing, type) and issubclass(thing, DomainError):
                found.add(thing)
            elif isinstance(thing, FunctionType):
                left.append(thing)
            elif isinstance(thing, type):
                left += [member for member in list(vars(thing).values()) if isinstance(member, FunctionType)]
    return found


def _things_named_in(function: FunctionType, methods: dict[str, list[FunctionType]]) -> Iterator[Any]:
    """Yields the errors that a function raises, and the project's functions and classes that it calls."""
    names = function.__globals__
    tree = _tree_of(function)
    if tree is None:
        return
    raised = {id(_callee(node.exc)) for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc}
    for node in ast.walk(tree):
        thing = _resolve(node, names)
        if isinstance(thing, type) and issubclass(thing, DomainError):
            if id(node) in raised:
                yield thing
        elif isinstance(thing, FunctionType) and _is_ours(thing):
            yield inspect.unwrap(thing)
        elif thing is None and isinstance(node, ast.Attribute) and not function.__module__.startswith(_OF_AWS):
            yield from methods.get(node.attr, [])
            yield from _methods_of_the_layer(node.attr, names)


def _methods_of_the_layer(name: str, names: dict[str, Any]) -> Iterator[FunctionType]:
    """Yields the methods called `name` of the layer's classes that the module imports.

    Skips the modules whose errors the service must translate to its own: those of the table and of peers.
    """
    for kind in list(names.values()):
        if isinstance(kind, type) and kind.__module__.startswith("mercato.") and kind.__module__ not in _TRANSLATED:
            found = vars(kind).get(name)
            function = getattr(found, "__func__", getattr(found, "fget", found))
            if isinstance(function, FunctionType) and _is_ours(function):
                yield function


def _callee(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _resolve(node: ast.AST, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return inspect.unwrap(found) if callable(found := names.get(node.id)) else found
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        base = names.get(node.value.id)
        if isinstance(base, (ModuleType, type)):
            found = getattr(base, node.attr, None)
            return inspect.unwrap(getattr(found, "__func__", found)) if callable(found) else found
    return None


def _is_ours(function: FunctionType) -> bool:
    path = inspect.getsourcefile(function) or ""
    return "/layers/" in path or "/functions/" in path


@functools.cache
def _tree_of(function: FunctionType) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):  # generated by dataclass or pydantic, without source that can be parsed alone
        return None


@functools.cache
def _methods_of(service: str) -> dict[str, list[FunctionType]]:
    """Returns the methods of all classes of the service by name."""
    found: dict[str, list[FunctionType]] = {}
    package = importlib.import_module(service)
    for info in pkgutil.walk_packages(package.__path__, f"{service}."):
        module = importlib.import_module(info.name)
        for kind in list(vars(module).values()):
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                for name, member in list(vars(kind).items()):  # a copy: unwrapping may change the class
                    function = getattr(member, "__func__", getattr(member, "fget", member))
                    if isinstance(function, FunctionType) and _is_ours(function):
                        found.setdefault(name, []).append(function)
    return found
