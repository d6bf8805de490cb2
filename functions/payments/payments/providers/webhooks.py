"""Signed webhooks of providers about a charge. They only name the charge; its state is read from the provider."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mercato import webhooks
from mercato.dataclass import dataclass

_Id = Annotated[str, Field(min_length=1, max_length=200)]
_LENIENT = ConfigDict(frozen=True, extra="ignore", defer_build=True)  # providers add fields as they like


@dataclass(frozen=True)
class ChargeChanged:
    """A charge has changed, or a dispute of it. Names the charge by its own id, or by our payment's."""

    event_id: str
    charge_id: str = ""
    payment_id: str = ""
    is_dispute: bool = False


class ChargeNews(BaseModel):  # the name is part of the API's contract
    model_config = _LENIENT

    reference: _Id


class WebhookEvent(BaseModel):
    model_config = _LENIENT

    id: _Id
    type: str = "charge"
    data: ChargeNews


class StripeObject(BaseModel):
    """An intent, or an object that refers to one. Other types are ignored."""

    model_config = _LENIENT

    id: Any = None
    object: Any = None
    payment_intent: Any = None
    metadata: Any = None


class StripeData(BaseModel):
    model_config = _LENIENT

    object: StripeObject


class StripeEvent(BaseModel):
    model_config = _LENIENT

    id: _Id
    type: str
    data: StripeData


def of_sandbox(event: WebhookEvent) -> ChargeChanged | None:
    is_ours = event.type.partition(".")[0] == "charge"
    return ChargeChanged(event.id, "", event.data.reference, _is_dispute(event.type)) if is_ours else None


def verify_stripe(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Stripe-Signature: t=<epoch seconds>,v1=<hex>[,v1=<hex>]. Raises InvalidSignature, which does not say why."""
    fields = [field.partition("=") for field in headers.get("stripe-signature", "").split(",")]
    timestamps = [value for name, _, value in fields if name == "t"]
    signatures = [value for name, _, value in fields if name == "v1"]
    timestamp = timestamps[0] if len(timestamps) == 1 else ""
    webhooks.verify_any(secret, timestamp, signatures, body, now)


def of_stripe(event: StripeEvent) -> ChargeChanged | None:
    """The change of an intent or of an object that refers to one; None for other events."""
    if event.type.partition(".")[0] not in ("payment_intent", "charge", "refund"):
        return None
    found = event.data.object
    charge_id = found.id if found.object == "payment_intent" else found.payment_intent
    if not isinstance(charge_id, str) or not charge_id:
        return None
    ours = found.metadata.get("payment_id") if isinstance(found.metadata, dict) else None
    return ChargeChanged(event.id, charge_id, ours if isinstance(ours, str) else "", _is_dispute(event.type))


def _is_dispute(event_type: str) -> bool:
    """charge.dispute.created, .updated, .closed, .funds_withdrawn or .funds_reinstated."""
    return event_type.startswith("charge.dispute.")
