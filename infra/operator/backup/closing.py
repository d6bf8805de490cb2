"""Closes a shop and opens it again, by its functions' reserved concurrency. With none, Lambda runs no function for any
caller: the API, the sites, schedules, queues, streams and sagas.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from infra.operator import target
from infra.operator.target import Target

_AT_ONCE = 4  # Lambda's control plane takes 15 calls a second


def read_concurrency(shop: Target) -> dict[str, int | None]:
    """The reserved concurrency of each of the shop's functions; None where none is reserved."""
    aws_lambda = target.client(shop, "lambda")
    names = [
        one["FunctionName"]
        for page in aws_lambda.get_paginator("list_functions").paginate()
        for one in page["Functions"]
        if target.is_of(shop.stack, one)
    ]

    def read(name: str) -> int | None:
        found: int | None = aws_lambda.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        return found

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(names, pool.map(read, names), strict=True))


def close(shop: Target, functions: Mapping[str, int | None]) -> None:
    """Idempotent. Invocations that have begun go on to their end."""
    aws_lambda = target.client(shop, "lambda")

    def stop(name: str) -> None:
        aws_lambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(stop, functions))


def open_again(shop: Target, functions: Mapping[str, int | None]) -> None:
    """Gives each function what it had. Idempotent."""
    aws_lambda = target.client(shop, "lambda")

    def start(name: str) -> None:
        before = functions[name]
        if before is None:
            aws_lambda.delete_function_concurrency(FunctionName=name)
        else:
            aws_lambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=before)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(start, functions))
