"""Saga tasks: the functions that the state machine calls, chosen by the `task` field of the payload.

Payload: {"task": "ReserveInventory", "correlation_id": …, "traceparent": …, "input": {…}}. The response is the model
that the task returns, as JSON. An exception keeps its class name, which the ASL's Catch and Retry match.
"""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from mercato.errors import DomainError, TransientError
from mercato.invocation import deadline
from mercato.telemetry import correlation, failures
from mercato.telemetry.logs import log

Task = Callable[[Any], BaseModel | None]


class InvalidTaskInput(Exception):
    """The task cannot read the state machine's input. Names only the fields, since values may be secret."""


class NoInput(BaseModel):
    pass


class Health(BaseModel):
    service: str
    tasks: list[str]


class Tasks:
    """The tasks of one service. Like GET /health of an App, the task `Health` reads nothing and changes nothing: it
    answers that the function starts, with the names of its tasks.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self.tasks: dict[str, tuple[type[BaseModel], Task]] = {}
        self.task("Health")(self._report_health)

    def task(self, name: str) -> Callable[[Task], Task]:
        def register(function: Task) -> Task:
            (parameter,) = inspect.signature(function).parameters
            self.tasks[name] = (typing.get_type_hints(function)[parameter], function)
            return function

        return register

    def _report_health(self, _: NoInput) -> Health:
        return Health(service=self.service, tasks=sorted(self.tasks))

    def handler(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        work = correlation.accept(
            event.get("correlation_id"),
            event.get("traceparent"),
            event.get("causation_id") or None,
            event.get("tracestate"),
        )
        with correlation.bound(work), deadline.of_invocation(context):
            name, task_input = event["task"], event["input"]
            about = {"task": name, "order_id": task_input.get("order_id")}
            try:
                model, function = self.tasks[name]
                with correlation.acting(f"saga:{name}"):
                    result = function(_read(name, model, task_input))
            except DomainError as error:
                log.info("saga step refused", extra=about | {"reason": error.slug(), "detail": error.detail})
                raise
            except TransientError as error:
                log.warning("saga step will be retried", extra=about | {"reason": f"{type(error).__name__}: {error}"})
                # The ASL's Retry matches only the name TransientError, so a subclass is raised as that.
                raise TransientError(f"{type(error).__name__}: {error}") from error
            except Exception as error:
                log.warning("saga step failed", extra=about | {"reason": f"{type(error).__name__}: {error}"})
                failures.count()
                raise
            log.info("saga step done", extra=about)
            return result.model_dump(mode="json") if result is not None else {}


def _read(name: str, model: type[BaseModel], task_input: Any) -> BaseModel:
    try:
        return model.model_validate(task_input)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in found)
        raise InvalidTaskInput(f"{name}: {problems}") from None
