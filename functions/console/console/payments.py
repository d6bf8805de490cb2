"""Payments: those on which the provider and we do not agree, and each payment."""

from __future__ import annotations

from urllib.parse import quote

from console.pages import pages
from pages import Page, Redirect, Visit
from pages.visitor import path


@pages.get("/console/payments")
def show_payments(visit: Visit) -> Page | Redirect:
    if payment_id := visit.request.query.get("payment_id", "").strip():
        return Redirect(f"/console/payments/{quote(payment_id, safe='')}")
    return Page("payments.html", {"mismatches": visit.visitor.get(path("payments", "mismatches"))})


@pages.get("/console/payments/{payment_id}")
def show_payment(visit: Visit, payment_id: str) -> Page:
    return Page("payment.html", {"payment": visit.visitor.get(path("payments", payment_id))})
