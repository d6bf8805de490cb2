"""A parcel on its way whose order is cancelled: the money went back, and the goods are gone or will be."""

from __future__ import annotations

from mercato.telemetry import metrics
from mercato.telemetry.logs import log


def ring(shipment_id: str, order_id: str, said: str) -> None:
    """Rings the alarm CancelledParcelLeft; the log says which parcel."""
    log.error(
        "a parcel of a cancelled order has left",
        extra={"shipment_id": shipment_id, "order_id": order_id, "reason": said},
    )
    metrics.count("CancelledParcelsLeft")
    metrics.flush()
