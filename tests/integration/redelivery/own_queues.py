"""The messages that consumers get from elsewhere than the shop's bus: S3's events of uploads, SES's reports of mails,
and what the sandbox carrier sends to itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mercato.events.consumer import Consumer
from tests.integration.notifications.test_stops import bounced, complained
from tests.integration.products.conftest import BUCKET
from tests.kit import aws_events
from tests.kit.picture_files import photograph
from tests.kit.template import resources_of_type


@dataclass(frozen=True)
class OwnQueue:
    """`given` makes the state in which a message has an effect, and returns the message's body."""

    service: str
    module: str
    queue: str
    given: Callable[[Any], Any]

    def __str__(self) -> str:
        return f"{self.module}{self.given.__name__}"


def _uploaded(service: Any) -> Any:
    product_id = str(service.add()["product_id"])
    image_id = service.await_image(product_id)
    service.upload(product_id, image_id, photograph())
    return aws_events.object_created(BUCKET, f"uploads/{product_id}/{image_id}")


def _unusable(service: Any) -> Any:
    product_id = str(service.add()["product_id"])
    image_id = service.await_image(product_id)
    service.upload(product_id, image_id, b"no picture")
    return aws_events.object_created(BUCKET, f"uploads/{product_id}/{image_id}")


def _booked(service: Any) -> Any:
    service.confirm()
    service.pay()
    (due,) = service.waiting()
    return due["body"]


def _dispatched(service: Any) -> Any:
    service.confirm()
    service.pay()
    assert service.carry(*service.waiting()) == []
    (due,) = service.waiting()
    return due["body"]


def _bounced(service: Any) -> Any:
    service.register()
    return bounced(service)["body"]


def _complained(service: Any) -> Any:
    service.register()
    return complained(service)["body"]


OWN_QUEUES = [
    OwnQueue("notifications", "notifications.consumers", "notifications", _bounced),
    OwnQueue("notifications", "notifications.consumers", "notifications", _complained),
    OwnQueue("products", "products.scaler", "products-uploads", _uploaded),
    OwnQueue("products", "products.scaler", "products-uploads", _unusable),
    OwnQueue("shipping", "shipping.carrier", "carrier", _booked),
    OwnQueue("shipping", "shipping.carrier", "carrier", _dispatched),
]


def modules_with_consumers() -> set[str]:
    """The handlers' modules of all functions that have a consumer."""
    functions = resources_of_type("AWS::Serverless::Function").values()
    modules = {function["Properties"]["Handler"].rpartition(".")[0] for function in functions}
    return {
        module
        for module in modules
        if any(isinstance(value, Consumer) for value in vars(importlib.import_module(module)).values())
    }
