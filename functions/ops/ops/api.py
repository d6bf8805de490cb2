"""HTTP routes of ops."""

from __future__ import annotations

from datetime import timedelta

from mercato import aws
from mercato.clock import utc_now
from mercato.http import ADMIN, WATCH, App
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.invocation import deadline
from mercato.telemetry import correlation
from ops.circuits import usecases as circuits
from ops.circuits.views import CircuitsPage, CircuitView, SetCircuit
from ops.dead_letters import api
from ops.health import registry
from ops.journal.store import MOST_OF_REQUEST, Position
from ops.journal.story import RequestNotFound, tell
from ops.journal.views import EventsQuery, EventsView, EventView, NodeView, RequestView
from ops.mesh.calls import read_calls
from ops.mesh.graph import Graph, draw
from ops.mesh.views import GraphQuery, GraphView
from ops.sagas import usecases
from ops.sagas.domain import Action, Command, SagaNotFound
from ops.sagas.executions import Execution
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
from ops.wiring import ports

app = App("ops", health=table_and_queue)
_LOGS_PATIENCE = 12.0  # seconds, for a query of CloudWatch Logs


@app.get("/api/ops/sagas", role=ADMIN, limit=WATCH)
def list_sagas(query: SagasQuery) -> ParkedPage | SummaryPage:
    if query.status != "parked":
        status = None if query.status == "all" else query.status
        found, cursor = ports().executions.list_page(
            status, kind=query.kind, ending=query.ending, limit=query.limit, cursor=query.cursor
        )
        return SummaryPage(items=[SummaryView.of(saga) for saga in found], next_cursor=cursor)
    items, cursor = ports().sagas.list_parked(limit=query.limit, cursor=query.cursor)
    shown = [ParkedView.of(parked) for parked in items if query.ending is None]
    return ParkedPage(items=[view for view in shown if query.kind in (None, view.kind)], next_cursor=cursor)


@app.get("/api/ops/sagas/{order_id}", role=ADMIN, limit=WATCH)
def get_saga(order_id: str) -> SagaView:
    sagas = ports().sagas
    return SagaView.whole(ports().executions.find(order_id), sagas.find(order_id), sagas.audit_of(order_id))


@app.post("/api/ops/sagas/{order_id}/resume", role=ADMIN)
def resume_saga(order_id: str, resume: ResumeSaga, caller: Caller) -> ResumptionView:
    command = _command(order_id, Action(resume.action), resume.reason, caller)
    return ResumptionView.of(usecases.resume_saga(command, resume.step, ports().sagas, ports().executions))


@app.post("/api/ops/sagas/{order_id}/redrive", role=ADMIN)
def redrive_saga(order_id: str, redrive: RedriveSaga, caller: Caller) -> ResumptionView:
    command = _command(order_id, Action.REDRIVE, redrive.reason, caller)
    return ResumptionView.of(usecases.redrive_saga(command, ports().sagas, ports().executions))


def _command(saga: str, action: Action, reason: str, caller: Caller) -> Command:
    return Command(saga, action, reason, caller.user_id, correlation.current().correlation_id, utc_now())


@app.get("/api/ops/audit", role=ADMIN, limit=WATCH)
def list_audit(query: AuditQuery) -> AuditPage:
    """Lists what operators and peers did. Read only: every service writes its own entries."""
    entries, cursor = ports().audit_trail.list_page(limit=query.limit, cursor=query.cursor, wanted=query.wanted())
    return AuditPage(items=[AuditView.of(entry) for entry in entries], next_cursor=cursor)


@app.get("/api/ops/events", role=ADMIN, limit=WATCH)
def list_events(query: EventsQuery) -> EventsView:
    """Lists the events of the last 14 days, the oldest first after `after`."""
    journal, now = ports().journal, utc_now()
    if query.after is None:
        found, position = journal.read_newest(limit=query.limit, event_type=query.type, now=now)
    else:
        start = Position.decode(query.after)
        found, position = journal.read_after(start, limit=query.limit, event_type=query.type, now=now)
    return EventsView(items=[EventView.of(entry) for entry in found], next_cursor=position.encode())


@app.get("/api/ops/requests/{request_id}", role=ADMIN, limit=WATCH)
def get_request(request_id: str) -> RequestView:
    """Shows what came of a request: its events, each below its cause, with the steps of the sagas that they started."""
    entries = ports().journal.of_request(request_id, utc_now())
    if not entries:
        raise RequestNotFound("No event of the last 14 days goes back to this request.")
    nodes = tell(entries, _find_saga)
    is_whole = len(entries) < MOST_OF_REQUEST
    return RequestView(request_id=request_id, is_whole=is_whole, items=[NodeView.of(node) for node in nodes])


def _find_saga(name: str) -> Execution | None:
    try:
        return ports().executions.find(name)
    except SagaNotFound:
        return None


@app.get("/api/ops/services", role=ADMIN, limit=WATCH)
def list_services() -> ServicesPage:
    return ServicesPage.of(registry.list_services(ports().api.namespace), ports().probes.last(utc_now()))


@app.get("/api/ops/mesh/graph", role=ADMIN, limit=WATCH)
def get_mesh_graph(query: GraphQuery) -> GraphView:
    until = utc_now()
    since = until - timedelta(minutes=query.minutes)
    if not ports().api.mesh:
        return GraphView.of(Graph([], []), since, until, is_on=False, is_partial=False)
    patience = deadline.within(_LOGS_PATIENCE, reserve=2.0)
    found, is_partial = read_calls(aws.client("logs"), ports().api.namespace, since, until, patience)
    return GraphView.of(draw(found), since, until, is_on=True, is_partial=is_partial)


@app.get("/api/ops/circuits", role=ADMIN, limit=WATCH)
def list_circuits() -> CircuitsPage:
    return CircuitsPage.of(circuits.list_circuits(ports().circuits))


@app.get("/api/ops/circuits/{name}", role=ADMIN, limit=WATCH)
def get_circuit(name: str) -> CircuitView:
    return CircuitView.of(circuits.get_circuit(name, ports().circuits))


@app.post("/api/ops/circuits/{name}", role=ADMIN)
def set_circuit(name: str, wanted: SetCircuit, caller: Caller) -> CircuitView:
    request_id = correlation.current().correlation_id
    command = circuits.Command(name, wanted.action, wanted.reason, caller.user_id, request_id, utc_now())
    return CircuitView.of(circuits.set_circuit(command, ports().circuits))


api.register(app)
handler = app.handler
