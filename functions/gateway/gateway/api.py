"""The gateway's own routes. What no service answers comes here too, and is 404."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from gateway.dashboard import DashboardView, show_dashboard
from mercato import config
from mercato.auth import Caller
from mercato.client import ServiceClient
from mercato.discovery import Registry
from mercato.http import CUSTOMER, PUBLIC, UNLIMITED, App, View

app = App("gateway")
handler = app.handler


@dataclass(frozen=True)
class Settings:
    namespace: str


@functools.cache
def peers() -> dict[str, ServiceClient]:
    registry = Registry(config.load(Settings).namespace)
    return {peer: ServiceClient(peer, registry) for peer in ("users", "orders", "notifications")}


class HealthView(View):
    service: str
    status: str


@app.get("/api/health", role=PUBLIC, limit=UNLIMITED)
def show_health() -> HealthView:
    return HealthView(service="gateway", status="ok")


@app.get("/api/dashboard", role=CUSTOMER)
def dashboard(caller: Caller) -> DashboardView:
    return show_dashboard(caller.user_id, **peers())
