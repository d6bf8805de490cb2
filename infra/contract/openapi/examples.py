"""Makes examples from schemas: from a field's own example, else from a sample for its name, else from its type."""

from __future__ import annotations

from typing import Any

from infra.contract.openapi.schemas import resolve

_ID = "019ab1de-5c3a-7e21-9f04-0d6b8a2f4c11"
_AT = "2026-11-22T12:00:00.000Z"
# Field name → sample. Names that end in _id or _at have a generated sample.
SAMPLES: dict[str, Any] = {
    "access_token": "eyJhbGciOiJFUzI1NiIsImtpZCI6IjIwMjYtMTEifQ.eyJzdWIiOiIwMTlhYjFkZSJ9.c2lnbmF0dXJl",
    "as_of": _AT,
    "carrier": "sandbox",
    "category": "Lighting",
    "city": "Leith",
    "correlation_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "country": "GB",
    "currency": "GBP",
    "current_password": "correct horse battery",
    "cursor": "eyJwayI6IlVTRVIjMSIsInNrIjoiT1JERVIjMSJ9",
    "description": "A lamp of brass and glass.",
    "detail": "As asked for.",
    "email": "ada@example.com",
    "event_type": "order.confirmed",
    "line1": "1 Quay",
    "line2": None,
    "name": "Ada Lovelace",
    "new_password": "staple battery horse",
    "next_cursor": None,
    "note": "the mail server is back",
    "password": "correct horse battery",
    "payment_token": "tok_ok",
    "postcode": "EH6 6QQ",
    "q": "lamp",
    "queue": "mercato-notifications-dlq",
    "reason": "counted again",
    "refresh_token": "pV3iK0v1uJk0yq2Wz5m8bQ",
    "request_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "sku": "85123A",
    "status": "confirmed",
    "tracking_number": "SB123456789",
    "type": "order.confirmed",
}
# Model and field → sample, for fields with a name that several models use differently.
SAMPLES |= {
    "CircuitView.name": "peer:products",
    "Count.value": "Lighting",
    "InstanceView.url": "https://abc123.lambda-url.eu-west-1.on.aws",
    "LineView.name": "White hanging heart",
    "NewProduct.name": "White hanging heart",
    "NotificationView.body": "Your order is on its way.",
    "NotificationView.channel": "email",
    "NotificationView.kind": "order.shipped",
    "NotificationView.language": "en",
    "NotificationView.status": "sent",
    "SmsView.phone": "+442079460958",
    "SmsView.stopped": None,
    "StopView.phone": None,
    "NotificationView.subject": "Your order has been sent",
    "OrderView.detail": None,
    "OrderView.payment_status": "captured",
    "OrderView.reason": None,
    "ProductChanges.name": "White hanging heart",
    "ProductView.availability": "in_stock",
    "ProductView.name": "White hanging heart",
    "ProductView.status": "active",
    "QuoteView.service": "standard",
    "ServiceView.name": "products",
    "SummaryView.payment_status": "captured",
    "SummaryView.reason": None,
    "WebhookEvent.id": "evt_1",
}
_ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "1 Quay",
    "city": "Leith",
    "postcode": "EH6 6QQ",
    "country": "GB",
    "phone": "+44 20 7946 0958",
}
# Component → example, for bodies whose fields depend on each other: what is here must be no refused request.
WHOLE: dict[str, dict[str, Any]] = {
    "checkout.AddressGiven": _ADDRESS,
    "checkout.TaxRate": {"country": "GB", "tax_class": "standard", "rate": "0.2000", "valid_from": "2011-01-04"},
    "documents.Numbering": {"invoice_prefix": "INV", "credit_note_prefix": "CRN", "counting": "yearly"},
    "notifications.KindSwitch": {"kind": "order_shipped", "email": True, "sms": True},
    "orders.LineReceived": {"product_id": _ID, "restock": 1, "write_off": 0},
    "orders.ShippingAddress": _ADDRESS,
    "promotions.CouponChanges": {"version": 1, "description": "15 % off", "basis_points": 1500},
    "promotions.NewCoupon": {
        "code": "AUTUMN-10",
        "description": "10 % off",
        "kind": "percentage",
        "basis_points": 1000,
        "minimum": {"amount": 2000, "currency": "GBP"},
        "valid_until": "2026-12-31T23:59:59.000Z",
        "limit": 100,
    },
    "shipping.QuoteRequest": {
        "country": "GB",
        "items": 2,
        "weight_grams": 800,
        "goods": {"amount": 2500, "currency": "GBP"},
    },
}
_BY_TYPE: dict[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "string": "text", "null": None}


def example_of(schema: dict[str, Any], components: dict[str, Any], name: str = "") -> Any:
    """Returns a value that is valid for the schema and the same at every run."""
    own = schema.get("examples") or ([schema["example"]] if "example" in schema else None)
    if own:
        return own[0]
    component = schema.get("$ref", "").rpartition("/")[2]
    if component in WHOLE:
        return WHOLE[component]
    owner = component.rpartition(".")[2]
    schema = resolve(schema, components)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["default"] if schema.get("default") in schema["enum"] else _fitting(name, schema)
    for kind in ("anyOf", "oneOf", "allOf"):
        if kind in schema:
            return _of_any(schema[kind], components, name)
    if schema.get("type") == "object" or "properties" in schema:
        return _object(schema, components, owner)
    if schema.get("type") == "array":
        return [example_of(schema["items"], components, name)] if "items" in schema else []
    if schema.get("default") is not None:
        return schema["default"]
    return _scalar(schema, name)


def _fitting(name: str, schema: dict[str, Any]) -> Any:
    return SAMPLES[name] if SAMPLES.get(name) in schema["enum"] else schema["enum"][0]


def _of_any(choices: list[dict[str, Any]], components: dict[str, Any], name: str) -> Any:
    if name in SAMPLES and SAMPLES[name] is None and {"type": "null"} in choices:
        return None
    return example_of(choices[0], components, name)


def _object(schema: dict[str, Any], components: dict[str, Any], owner: str) -> Any:
    properties = schema.get("properties", {})
    if not properties and isinstance(schema.get("additionalProperties"), dict):
        return {"order.confirmed": example_of(schema["additionalProperties"], components)}
    return {
        name: example_of(part, components, f"{owner}.{name}" if f"{owner}.{name}" in SAMPLES else name)
        for name, part in properties.items()
    }


def _scalar(schema: dict[str, Any], name: str) -> Any:
    kind = schema.get("type", "string")
    if kind == "integer":
        return max(schema.get("minimum", 1), 1)
    if kind != "string":
        return _BY_TYPE[kind]
    if schema.get("format") == "date-time" or name.endswith("_at") or name == "at":
        return _AT
    if SAMPLES.get(name) is not None:
        return SAMPLES[name]
    return _ID if name.endswith("_id") else _BY_TYPE["string"]
