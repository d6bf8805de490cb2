"""Payments: those on which the provider and we do not agree, and each payment."""

from __future__ import annotations

from typing import Any

from console.pages import pages
from pages import Page, Redirect, Visit
from pages.visitor import part, path


@pages.get("/console/payments")
def show_payments(visit: Visit) -> Page | Redirect:
    if payment_id := visit.request.query.get("payment_id", "").strip():
        return Redirect(f"/console/payments/{payment_id}")
    return Page("payments.html", {"mismatches": visit.visitor.get(path("payments", "mismatches"))})


@pages.get("/console/payments/{payment_id}")
def show_payment(visit: Visit, payment_id: str) -> Page:
    payment: Any = visit.visitor.get(path("payments", payment_id))
    order = part(lambda: visit.visitor.get(path("orders", payment["order_id"]))).value or {}
    return Page("payment.html", {"payment": payment, "number": order.get("number")})
