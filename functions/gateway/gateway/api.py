"""The gateway's own routes. Unknown paths come here too and get 404."""

from __future__ import annotations

from gateway.dashboard import DashboardView, show_dashboard
from gateway.pages import OpenApi, Page, read_contract, read_page
from gateway.wiring import ports
from mercato.http import CUSTOMER, PUBLIC, UNLIMITED, App, Response, View
from mercato.http.auth import Caller

app = App("gateway")
handler = app.handler

_FRESH = {"Cache-Control": "public, max-age=300"}


class HealthView(View):
    service: str
    status: str


@app.get("/api/health", role=PUBLIC, limit=UNLIMITED)
def show_health() -> HealthView:
    return HealthView(service="gateway", status="ok")


@app.get("/api/openapi.json", role=PUBLIC)
def show_contract() -> Response[OpenApi]:
    """This document. It has an ETag: a request with this ETag in `If-None-Match` is answered 304, without a body."""
    return Response(read_contract(), headers=_FRESH)


@app.get("/api/docs", role=PUBLIC)
def show_docs() -> Response[Page]:
    """This document as a page. It has an ETag, too."""
    page, policy = read_page()
    return Response(page, headers={"Content-Security-Policy": policy} | _FRESH)


@app.get("/api/dashboard", role=CUSTOMER)
def dashboard(caller: Caller) -> DashboardView:
    peer = ports().peer
    return show_dashboard(
        caller.user_id, users=peer("users"), orders=peer("orders"), notifications=peer("notifications")
    )
