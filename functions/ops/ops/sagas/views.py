"""The request and response bodies of ops. They never contain a task token, whose holder can resume a saga unseen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from mercato.clock import rfc3339
from mercato.http import Body, Cursor, Day, Query, View
from mercato.http.audit import AuditEntry, AuditFilter
from mercato.text import Reason, Reference
from ops.health.probe import Probe
from ops.health.registry import Service
from ops.sagas.diagram import draw, numbers_of
from ops.sagas.domain import Action, Ending, Kind, Parked, Resumption, saga_of
from ops.sagas.executions import Execution, Summary
from ops.sagas.machine import EdgeKind, edges_of, most_tries
from ops.sagas.steps import Outcome, Step


class SagasQuery(Query):
    """`parked` sagas wait for an operator; the other values are the executions' own states, or all of them.

    `kind` and `ending` filter the executions of a page, so it may hold fewer than `limit`, or none, and still have a
    cursor. A parked saga is still running and has no ending.
    """

    status: Literal["parked", "all", "running", "succeeded", "failed", "timed_out", "aborted"] = "parked"
    kind: Kind | None = None
    ending: Ending | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None


class AuditQuery(Query):
    """An entry must match all filters. `target` is an id, or a name and an id: `order_id=…`. Days are in UTC, both
    inclusive. A page may hold fewer than `limit`, or none, and still have a cursor.
    """

    actor: Reference | None = None
    target: Reference | None = None
    first_day: Annotated[Day | None, Field(alias="from")] = None
    last_day: Annotated[Day | None, Field(alias="to")] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Cursor | None = None

    def wanted(self) -> AuditFilter:
        return AuditFilter(self.actor, self.target, self.first_day, self.last_day)


class AuditView(View):
    """A request of an admin. Listed again with the response's `status` once it is known; `status` is null before."""

    entry_id: str
    at: str
    actor: str
    service: str
    action: str
    target: str
    request_id: str
    status: int | None

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        return cls(**asdict(entry))


class AuditPage(View):
    items: list[AuditView]
    next_cursor: str | None


class ResumeSaga(Body):
    """`step` is the step to resume, as the list of parked sagas shows it. Required for a skip."""

    action: Literal["retry", "skip"]
    step: Reference | None = None
    reason: Reason


class RedriveSaga(Body):
    reason: Reason


class ParkedView(View):
    """`step` is the undo that fails with `error`; `failed_step` and `reason` say why the order is undone.

    `saga` is the execution's name, by which it is shown and resumed.
    """

    order_id: str
    kind: Kind
    saga: str
    step: str
    error: str
    cause: str
    failed_step: str
    reason: str
    parked_at: str
    correlation_id: str
    execution_arn: str

    @classmethod
    def of(cls, parked: Parked) -> Self:
        order_id, kind = saga_of(parked.saga)
        shown = asdict(parked) | {"order_id": order_id, "kind": kind, "parked_at": rfc3339(parked.parked_at)}
        del shown["task_tokens"]
        return cls(**shown)


class ParkedPage(View):
    items: list[ParkedView]
    next_cursor: str | None


class ResumptionView(View):
    order_id: str
    saga: str
    step: str
    action: Action
    reason: str
    operator: str
    request_id: str
    at: str

    @classmethod
    def of(cls, resumption: Resumption) -> Self:
        order_id, _ = saga_of(resumption.saga)
        return cls(**(asdict(resumption) | {"order_id": order_id, "at": rfc3339(resumption.at)}))


class SummaryView(View):
    """One saga, without its history. `saga` is the execution's name, by which it is shown and redriven.

    `ending` is null while it runs; `error` is why it failed.
    """

    order_id: str
    kind: Kind
    saga: str
    execution_arn: str
    status: str
    started_at: str
    stopped_at: str | None
    ending: Ending | None
    error: str | None

    @classmethod
    def of(cls, found: Summary) -> Self:
        order_id, kind = saga_of(found.name)
        return cls(
            order_id=order_id,
            kind=kind,
            saga=found.name,
            execution_arn=found.arn,
            status=found.status,
            started_at=found.started_at,
            stopped_at=found.stopped_at,
            ending=found.ending,
            error=found.error,
        )


class SummaryPage(View):
    items: list[SummaryView]
    next_cursor: str | None


class FailureView(View):
    at: str
    error: str
    detail: str | None


class StateView(View):
    """`kind` is Step Functions' type of the state, `tries` how often it is tried at most: 0 where it calls nothing."""

    name: str
    kind: str
    tries: int


class EdgeView(View):
    """`source` is `[*]` for the edge into the first state, and `target` for those where the execution ends.

    `errors` are the names that a catch takes. `steps` are the numbers of the steps that the edge led to, counted from
    1; where several edges join the same two states, each has them.
    """

    source: str
    target: str
    kind: EdgeKind
    errors: list[str]
    steps: list[int]


class MachineView(View):
    """The state machine as this execution runs it, and the way that it took."""

    states: list[StateView]
    edges: list[EdgeView]

    @classmethod
    def of(cls, definition: Mapping[str, Any], steps: Sequence[Step]) -> Self:
        numbers = numbers_of(steps)
        return cls(
            states=[
                StateView(name=name, kind=state["Type"], tries=most_tries(state))
                for name, state in definition["States"].items()
            ],
            edges=[
                EdgeView(**asdict(edge) | {"errors": list(edge.errors)}, steps=numbers[edge.source, edge.target])
                for edge in edges_of(definition)
            ],
        )


class StepView(View):
    """One visit to a state of the saga. `duration_ms` is null while it lasts."""

    state: str
    kind: str
    entered_at: str
    left_at: str | None
    duration_ms: int | None
    tries: int
    redrives: int
    outcome: Outcome
    failures: list[FailureView]

    @classmethod
    def of(cls, step: Step) -> Self:
        failures = [FailureView(**vars(failure)) for failure in step.failures]
        return cls(**vars(step) | {"failures": failures}, duration_ms=step.duration_ms)


class SagaView(SummaryView):
    """`steps` in the order of time; `is_whole` is false if the history is longer. `diagram` is Mermaid.

    `parked_step`: the undo that waits for an operator. `can_redrive`: the execution itself failed and may be redriven.
    """

    detail: str | None
    parked_step: str | None
    can_redrive: bool
    redrive_count: int
    steps: list[StepView]
    is_whole: bool
    machine: MachineView
    diagram: str
    resumptions: list[ResumptionView]

    @classmethod
    def whole(cls, execution: Execution, parked: Parked | None, audit: list[Resumption]) -> Self:
        return cls(
            **dict(SummaryView.of(execution)),
            detail=execution.detail,
            parked_step=parked.step if parked else None,
            can_redrive=execution.failed_itself,
            redrive_count=execution.redrive_count,
            steps=[StepView.of(step) for step in execution.steps],
            is_whole=execution.is_whole,
            machine=MachineView.of(execution.definition, execution.steps),
            diagram=draw(execution.definition, execution.steps),
            resumptions=[ResumptionView.of(resumption) for resumption in audit],
        )


class ProbeView(View):
    at: str
    health: str
    detail: str
    took_ms: int

    @classmethod
    def of(cls, probe: Probe) -> Self:
        return cls(at=rfc3339(probe.at), health=probe.health, detail=probe.detail, took_ms=probe.took_ms)


class InstanceView(View):
    """`health` is what callers see in discovery; `last_probe` is its reason."""

    instance_id: str
    url: str
    weight: int
    health: str
    last_probe: ProbeView | None


class ServiceView(View):
    name: str
    instances: list[InstanceView]

    @classmethod
    def of(cls, service: Service, probes: Mapping[tuple[str, str], Probe]) -> Self:
        instances = [
            InstanceView(**asdict(instance), last_probe=ProbeView.of(probe) if probe else None)
            for instance in service.instances
            for probe in [probes.get((service.name, instance.instance_id))]
        ]
        return cls(name=service.name, instances=instances)


class ServicesPage(View):
    items: list[ServiceView]

    @classmethod
    def of(cls, found: list[Service], probes: Mapping[tuple[str, str], Probe]) -> Self:
        return cls(items=[ServiceView.of(service, probes) for service in found])
