"""HTTP of the operators."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato import correlation
from mercato.audit import AuditTrail
from mercato.auth import Caller
from mercato.clock import utc_now
from mercato.config import load
from mercato.dynamo import Table
from mercato.http import ADMIN, App
from ops import queues, registry, usecases
from ops.executions import Executions
from ops.store import SagaStore
from ops.views import (
    AuditPage,
    AuditQuery,
    AuditView,
    DeadLettersPage,
    ParkedPage,
    ParkedView,
    ResumeSaga,
    ResumptionView,
    SagasQuery,
    SagaView,
    ServicesPage,
)

app = App("ops")


@dataclass(frozen=True)
class Settings:
    table_name: str
    state_machine_arn: str
    queue_prefix: str
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


@app.get("/api/ops/sagas", role=ADMIN)
def list_sagas(query: SagasQuery) -> ParkedPage:
    items, cursor = sagas().list_parked(limit=query.limit, cursor=query.cursor)
    return ParkedPage(items=[ParkedView.of(parked) for parked in items], next_cursor=cursor)


@app.get("/api/ops/sagas/{order_id}", role=ADMIN)
def get_saga(order_id: str) -> SagaView:
    return SagaView.of(order_id, executions().find(order_id), sagas().audit_of(order_id))


@app.post("/api/ops/sagas/{order_id}/resume", role=ADMIN)
def resume_saga(order_id: str, resume: ResumeSaga, caller: Caller) -> ResumptionView:
    resumption = usecases.resume_saga(
        order_id,
        resume.action,
        resume.reason,
        operator=caller.user_id,
        request_id=correlation.current().correlation_id,
        now=utc_now(),
        sagas=sagas(),
        executions=executions(),
    )
    return ResumptionView.of(resumption)


@app.get("/api/ops/dlq", role=ADMIN)
def list_dead_letters() -> DeadLettersPage:
    return DeadLettersPage.of(queues.list_dead_letters(settings().queue_prefix))


@app.get("/api/ops/audit", role=ADMIN)
def list_audit(query: AuditQuery) -> AuditPage:
    """Read only: the door of every service writes it."""
    entries, cursor = AuditTrail(Table(settings().audit_table)).list_page(limit=query.limit, cursor=query.cursor)
    return AuditPage(items=[AuditView.of(entry) for entry in entries], next_cursor=cursor)


@app.get("/api/ops/services", role=ADMIN)
def list_services() -> ServicesPage:
    return ServicesPage.of(registry.list_services(settings().namespace))


handler = app.handler
