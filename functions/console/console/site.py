"""The console's pages, by module; `handler` is what Lambda calls."""

from __future__ import annotations

from console import audit, catalogue, circuits, letters, orders, overview, payments, sagas, services, session, stream
from console.pages import pages

__all__ = [
    "audit",
    "catalogue",
    "circuits",
    "letters",
    "orders",
    "overview",
    "pages",
    "payments",
    "sagas",
    "services",
    "session",
    "stream",
]

handler = pages.handler
