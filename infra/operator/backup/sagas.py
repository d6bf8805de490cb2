"""Starts the sagas of a restored shop's orders: Step Functions has no execution of them in the new shop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from infra.operator.accounts import use_cloud_of
from infra.operator.orders import order_ids
from infra.operator.target import Target
from mercato.store.dynamo import Table
from orders import usecases
from orders.store import OrderStore
from orders.workflow import OrderSaga


def start_sagas(shop: Target, progress: Callable[[], None] = lambda: None) -> Counter[str]:
    """The number of sagas that were started, by the state of their order. Idempotent by the executions' names."""
    use_cloud_of(shop)
    orders, workflows = OrderStore(Table(shop.tables["orders"])), OrderSaga(shop.outputs["OrderSagaArn"])
    found: Counter[str] = Counter()
    for order_id in order_ids(shop.tables["orders"]):
        order = orders.load(order_id)
        if order and usecases.resume_workflow(order, workflows):
            found[order.status] += 1
        progress()
    return found
