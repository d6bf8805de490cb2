"""Orders that customers place while something else happens to the shop."""

from __future__ import annotations

import threading
from types import TracebackType

from infra.demo.stage import Product, Stage, has_failed, is_paid
from infra.operator.client import Json, Session, ShopError, poll

_PATIENCE = 120.0  # seconds


class OrderFlow:
    """Each buyer places an order, waits until it is paid, and places the next one, until the flow ends.

    `ends` has the orders at their end, and `refused` the errors of those that the shop did not take or end.
    """

    def __init__(self, stage: Stage, product: Product, buyers: list[Session]) -> None:
        self.ends: list[Json] = []
        self.refused: list[str] = []
        self._stage, self._product = stage, product
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._buy, args=[buyer], daemon=True) for buyer in buyers]

    def _buy(self, buyer: Session) -> None:
        while not self._is_over.is_set():
            try:
                placed = self._stage.order(buyer, self._product, 1)
                end = buyer.wait_for_order(placed["order_id"], is_paid, what="paid", within=_PATIENCE)
            except ShopError as error:
                self.refused.append(str(error))
            else:
                self.ends.append(end)

    @property
    def failed(self) -> list[str]:
        """What the shop refused, and the orders that it undid."""
        return self.refused + [f"{end['order_id']} is {end['status']}" for end in self.ends if has_failed(end)]

    def flow(self, count: int) -> None:
        """Waits for that many more orders."""
        wanted = len(self.ends) + count
        poll(lambda: len(self.ends), lambda found: found >= wanted, what=f"{count} more orders", within=_PATIENCE)

    def __enter__(self) -> OrderFlow:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
