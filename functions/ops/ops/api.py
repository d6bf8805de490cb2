"""HTTP of the operators."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato.breaker.store import DynamoStore
from mercato.clock import utc_now
from mercato.config import load
from mercato.http import ADMIN, App
from mercato.http.audit import AuditTrail
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.store.dynamo import Table
from mercato.telemetry import correlation
from ops.circuits import usecases as circuits
from ops.circuits.views import CircuitsPage, CircuitView, SetCircuit
from ops.dead_letters import api
from ops.health import registry
from ops.health.store import ProbeStore
from ops.sagas import usecases
from ops.sagas.domain import Action
from ops.sagas.executions import Executions
from ops.sagas.store import SagaStore
from ops.sagas.views import (
    AuditPage,
    AuditQuery,
    AuditView,
    ParkedPage,
    ParkedView,
    RedriveSaga,
    ResumeSaga,
    ResumptionView,
    SagasQuery,
    SagaView,
    ServicesPage,
    SummaryPage,
    SummaryView,
)

app = App("ops", health=table_and_queue)


@dataclass(frozen=True)
class Settings:
    table_name: str
    circuits_table: str
    state_machine_arn: str
    namespace: str
    audit_table: str


@functools.cache
def settings() -> Settings:
    return load(Settings)


@functools.cache
def sagas() -> SagaStore:
    return SagaStore(Table(settings().table_name))


@functools.cache
def executions() -> Executions:
    return Executions(settings().state_machine_arn)


@functools.cache
def circuit_store() -> DynamoStore:
    return DynamoStore(settings().circuits_table)


@app.get("/api/ops/sagas", role=ADMIN)
def list_sagas(query: SagasQuery) -> ParkedPage | SummaryPage:
    if query.status != "parked":
        status = None if query.status == "all" else query.status
        found, cursor = executions().list_page(
            status, kind=query.kind, ending=query.ending, limit=query.limit, cursor=query.cursor
        )
        return SummaryPage(items=[SummaryView.of(saga) for saga in found], next_cursor=cursor)
    items, cursor = sagas().list_parked(limit=query.limit, cursor=query.cursor)
    shown = [ParkedView.of(parked) for parked in items if query.ending is None]
    return ParkedPage(items=[view for view in shown if query.kind in (None, view.kind)], next_cursor=cursor)


@app.get("/api/ops/sagas/{order_id}", role=ADMIN)
def get_saga(order_id: str) -> SagaView:
    execution = executions().find(order_id)
    return SagaView.whole(execution, sagas().find(order_id), sagas().audit_of(order_id))


@app.post("/api/ops/sagas/{order_id}/resume", role=ADMIN)
def resume_saga(order_id: str, resume: ResumeSaga, caller: Caller) -> ResumptionView:
    resumption = usecases.resume_saga(
        order_id,
        Action(resume.action),
        resume.reason,
        step=resume.step,
        operator=caller.user_id,
        request_id=correlation.current().correlation_id,
        now=utc_now(),
        sagas=sagas(),
        executions=executions(),
    )
    return ResumptionView.of(resumption)


@app.post("/api/ops/sagas/{order_id}/redrive", role=ADMIN)
def redrive_saga(order_id: str, redrive: RedriveSaga, caller: Caller) -> ResumptionView:
    redriven = usecases.redrive_saga(
        order_id,
        redrive.reason,
        operator=caller.user_id,
        request_id=correlation.current().correlation_id,
        now=utc_now(),
        sagas=sagas(),
        executions=executions(),
    )
    return ResumptionView.of(redriven)


@app.get("/api/ops/audit", role=ADMIN)
def list_audit(query: AuditQuery) -> AuditPage:
    """Read only: the door of every service writes it."""
    entries, cursor = AuditTrail(Table(settings().audit_table)).list_page(limit=query.limit, cursor=query.cursor)
    return AuditPage(items=[AuditView.of(entry) for entry in entries], next_cursor=cursor)


@app.get("/api/ops/services", role=ADMIN)
def list_services() -> ServicesPage:
    probes = ProbeStore(Table(settings().table_name))
    return ServicesPage.of(registry.list_services(settings().namespace), probes.last(utc_now()))


@app.get("/api/ops/circuits", role=ADMIN)
def list_circuits() -> CircuitsPage:
    return CircuitsPage.of(circuits.list_circuits(circuit_store()))


@app.get("/api/ops/circuits/{name}", role=ADMIN)
def get_circuit(name: str) -> CircuitView:
    return CircuitView.of(circuits.get_circuit(name, circuit_store()))


@app.post("/api/ops/circuits/{name}", role=ADMIN)
def set_circuit(name: str, wanted: SetCircuit, caller: Caller) -> CircuitView:
    found = circuits.set_circuit(
        name,
        wanted.action,
        wanted.reason,
        operator=caller.user_id,
        request_id=correlation.current().correlation_id,
        now=utc_now(),
        store=circuit_store(),
    )
    return CircuitView.of(found)


api.register(app)
handler = app.handler
