"""Faults of a task's call, and the injector that makes them happen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mercato.errors import TransientError
from tests.kit.state_machine import Invoke, failing

FORWARD = (
    "ClaimCoupon",
    "ReserveInventory",
    "AuthorizePayment",
    "KeepReservation",
    "KeepCoupon",
    "ConfirmOrder",
    "CapturePayment",
)
UNDO = (
    "VoidPayment",
    "StopShipment",
    "RefundPayment",
    "ReleaseInventory",
    "ReleaseCoupon",
    "CancelOrder",
    "MarkNeedsAttention",
)
# This task only runs if an operator skips the payment's undo. A fault at it makes the test's operator skip.
SKIP = "WriteOffRefund"
SKIPPED = ("VoidPayment", "RefundPayment")


class Kind(StrEnum):
    FAILS_BEFORE = "fails before its effect"
    DIES_AFTER = "dies after its effect"
    TIMES_OUT = "times out"  # and its effect happens later
    THROTTLED = "is throttled"
    TWICE = "is delivered twice"
    UNKNOWN = "unknown error"  # after its effect, which is worse than before it


@dataclass(frozen=True)
class Fault:
    """A `lasting` fault happens at every attempt until an operator repairs it; another one only at the first."""

    task: str
    kind: Kind
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.task} {self.kind}{' each time' if self.lasting else ''}"

    @property
    def is_final(self) -> bool:
        """Whether the step fails permanently, so that the saga undoes or parks."""
        return self.lasting or self.kind is Kind.UNKNOWN


def faults_of(task: str) -> list[Fault]:
    lasting = [kind for kind in Kind if kind not in (Kind.TWICE, Kind.UNKNOWN)]
    return [Fault(task, kind) for kind in Kind] + [Fault(task, kind, lasting=True) for kind in lasting]


class Died(BaseException):
    """The process ended at this point. A BaseException, so that no code of the process can catch it."""


def die() -> None:
    raise Died


def lose() -> None:
    raise TransientError("no answer")


ALL = [fault for task in (*FORWARD, *UNDO, SKIP) for fault in faults_of(task)]


class Injector:
    """Injects faults into the state machine's calls of the handlers.

    A call that times out still has its effect: after the next call if the fault passes, after the saga if it lasts.
    """

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._pending = list(faults)
        self._late: list[Callable[[], Any]] = []
        self._at_the_end: list[Callable[[], Any]] = []
        self.met: set[Fault] = set()

    def mend(self, task: str) -> None:
        """Removes the task's faults, as an operator does before a resume."""
        self._pending = [fault for fault in self._pending if fault.task != task]

    def call(self, handler: Invoke, payload: dict[str, Any]) -> Any:
        late, self._late = self._late, []
        try:
            return self._call(handler, payload)
        finally:
            for finish in late:
                _quietly(finish)

    def finish_late_calls(self) -> None:
        late, self._late, self._at_the_end = self._late + self._at_the_end, [], []
        for finish in late:
            _quietly(finish)

    def _call(self, handler: Invoke, payload: dict[str, Any]) -> Any:
        fault = next((one for one in self._pending if one.task == payload["task"]), None)
        if fault is None:
            return handler(payload)
        self.met.add(fault)
        if not fault.lasting:
            self._pending.remove(fault)
        match fault.kind:
            case Kind.FAILS_BEFORE:
                raise failing("TransientError")
            case Kind.THROTTLED:
                raise failing("Lambda.TooManyRequestsException")
            case Kind.DIES_AFTER:
                _quietly(lambda: handler(payload))
                raise failing("Runtime.ExitError")
            case Kind.UNKNOWN:
                _quietly(lambda: handler(payload))
                raise failing("KeyError")
            case Kind.TIMES_OUT:
                (self._at_the_end if fault.lasting else self._late).append(lambda: handler(payload))
                raise failing("Sandbox.Timedout")
            case Kind.TWICE:
                _quietly(lambda: handler(payload))
                return handler(payload)


def _quietly(call: Callable[[], Any]) -> None:
    """Makes the call and drops its result and its error."""
    with contextlib.suppress(Exception):
        call()
