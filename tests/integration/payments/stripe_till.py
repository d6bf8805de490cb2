"""Payments with Stripe as the provider, whose books are in localstripe."""

from __future__ import annotations

from typing import Any

from mercato.ids import derived_id
from tests.integration.payments.localstripe import Wire
from tests.integration.payments.till import Till

PAYMENT = derived_id("payment", "o-1")
VISA = "pm_card_visa"


class StripeTill(Till):
    """A till that reads the provider's money from Stripe's books."""

    wire: Wire

    def charge(self) -> dict[str, Any]:
        item = self.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
        assert item is not None
        found: dict[str, Any] = self.wire.get(f"/v1/payment_intents/{item['charge_id']}")
        return found

    def held(self) -> str:
        return str(self.charge()["status"])

    def money(self) -> tuple[int, int]:
        item = self.table.get(f"PAYMENT#{PAYMENT}", "PAYMENT")
        assert item is not None
        charge = self.charge()["latest_charge"]
        taken = charge["amount"] if charge and charge["captured"] else 0
        assert (taken, charge["amount_refunded"] if taken else 0) == (item["captured"], item["refunded"])
        return item["captured"], item["refunded"]

    def everything(self) -> list[str]:
        """The state of every intent at Stripe."""
        return [intent["status"] for intent in self.wire.get("/v1/payment_intents?limit=1000")["data"]]

    def given_back(self) -> list[int]:
        return sorted(refund["amount"] for refund in self.wire.get("/v1/refunds?limit=1000")["data"])


def paid(till: StripeTill) -> None:
    till.authorize(VISA)
    till.capture()
