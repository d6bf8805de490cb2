"""The gateway's own routes. What no service answers comes here too, and is 404."""

from __future__ import annotations

from gateway.dashboard import DashboardView, show_dashboard
from mercato.auth import Caller
from mercato.http import CUSTOMER, PUBLIC, UNLIMITED, App, View
from mercato.peers import peer

app = App("gateway")
handler = app.handler


class HealthView(View):
    service: str
    status: str


@app.get("/api/health", role=PUBLIC, limit=UNLIMITED)
def show_health() -> HealthView:
    return HealthView(service="gateway", status="ok")


@app.get("/api/dashboard", role=CUSTOMER)
def dashboard(caller: Caller) -> DashboardView:
    return show_dashboard(
        caller.user_id, users=peer("users"), orders=peer("orders"), notifications=peer("notifications")
    )
