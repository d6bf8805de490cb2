"""The console's pages, by module; `handler` is what Lambda calls."""

from __future__ import annotations

from console import (
    audit,
    catalogue,
    circuits,
    coupons,
    dead_letters,
    documents,
    imports,
    mesh,
    orders,
    overview,
    parcels,
    payments,
    returns,
    sagas,
    services,
    session,
    stock,
    stops,
    stream,
    tables,
    texts,
)
from console.pages import pages

__all__ = [
    "audit",
    "catalogue",
    "circuits",
    "coupons",
    "dead_letters",
    "documents",
    "imports",
    "mesh",
    "orders",
    "overview",
    "pages",
    "parcels",
    "payments",
    "returns",
    "sagas",
    "services",
    "session",
    "stock",
    "stops",
    "stream",
    "tables",
    "texts",
]

handler = pages.handler
