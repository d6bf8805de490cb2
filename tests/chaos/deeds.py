"""Actions of customers, admins, schedules, providers and retries that run concurrently with an order's saga."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from inventory import saga as inventory_saga
from inventory import usecases as inventory_usecases
from mercato.clock import utc_now
from mercato.errors import DomainError, TransientError
from mercato.ids import derived_id
from mercato.money import Money
from orders import consumers as orders_consumers
from orders import saga as orders_saga
from orders import usecases as orders_usecases
from orders.order import ReceivedLine, Request, ReturnedLine
from orders.returns import Approval, Terms
from payments import reconciler, refunds
from payments import saga as payments_saga
from payments import usecases as payments_usecases
from payments.domain import DisputeStatus
from payments.providers.port import Provider, ProviderDeclined, ProviderTimeout
from payments.providers.webhooks import ChargeChanged
from promotions import saga as promotions_saga
from promotions import usecases as promotions_usecases
from shipping import saga as shipping_saga
from shipping import sandbox as sandbox_carrier
from shipping import usecases as shipping_usecases
from shipping import wiring as shipping_wiring
from shipping.domain import AlreadyDispatched, Progress
from shipping.domain import Status as Parcel
from shipping.usecases import booking_key_of, shipment_id_of
from tests.chaos.shop import COUPON, CUSTOMER, EMAIL, PRICE, PRODUCT, QUANTITY, SHIPPING, TOTAL, Shop
from tests.kit import aws_events
from tests.kit.given import published

TERMS = Terms(timedelta(days=30), Approval.STAFF)
GOODS = TOTAL.amount - SHIPPING
FIRST = GOODS // QUANTITY  # the refund of the first unit that comes back
SOME = Money(amount=PRICE, currency=TOTAL.currency)
DISPUTED = TOTAL.amount // 2  # the refund of most of the money does not fit beside it
MOST = Money(amount=TOTAL.amount - PRICE // 3, currency=TOTAL.currency)  # so much that no other refund fits beside it


@dataclass
class Scene:
    """An order, and what the shop accepted: the money of refunds and the units of returns, each by its key.

    Of the returned units those that were written off are not in stock again.
    """

    shop: Shop
    order_id: str
    refunded: dict[str, int] = field(default_factory=dict)
    returned: dict[str, int] = field(default_factory=dict)
    written_off: dict[str, int] = field(default_factory=dict)
    unanswered: list[Deed] = field(default_factory=list)

    @property
    def payment_id(self) -> str:
        return derived_id("payment", self.order_id)

    @property
    def came_back(self) -> int:
        return sum(self.returned.values())

    @property
    def kept(self) -> dict[str, int]:
        """What `disagreements` expects of a sold order."""
        return {
            "given_back": self.given_back,
            "came_back": self.came_back,
            "written_off": sum(self.written_off.values()),
            "taken": self.taken,
        }

    @property
    def given_back(self) -> int:
        """The refunded money. It is capped at the order's total, since a return refunds at most what is left. A return
        refunds the goods net of their discount, and the last one the delivery too.
        """
        goods = GOODS * self.came_back // QUANTITY
        delivery = SHIPPING if self.came_back == QUANTITY else 0
        return min(TOTAL.amount - self.taken, sum(self.refunded.values()) + goods + delivery)

    @property
    def taken(self) -> int:
        """The money that the buyer's bank has taken and not given back."""
        found = self.shop.provider.disputes(_charge_of(self))
        return sum(one.amount for one in found if one.status in (DisputeStatus.OPEN, DisputeStatus.LOST))

    def do(self, deed: Deed) -> None:
        """Runs the deed. A domain error ends it; a transient error leaves it to `ask_again`."""
        try:
            deed(self)
        except DomainError:
            return
        except TransientError:
            self.unanswered.append(deed)

    def ask_again(self) -> None:
        unanswered, self.unanswered = self.unanswered, []
        for deed in unanswered:
            with suppress(DomainError):
                deed(self)


Deed = Callable[[Scene], object]


def refund(scene: Scene, key: str, amount: Money, provider: Provider | None = None) -> None:
    shop = scene.shop
    refunds.refund(scene.payment_id, key, amount, "damaged", shop.payment_ports(provider), utc_now())
    scene.refunded[key] = amount.amount


def send_back(scene: Scene, key: str, quantity: int) -> None:
    """The customer asks to return units, and staff approves the return and receives all of it."""
    ask_back(scene, key, quantity)
    approve_back(scene, key)
    receive_back(scene, key, quantity)


def ask_back(scene: Scene, key: str, quantity: int) -> None:
    _return_goods(scene, key, quantity, "damaged")


def approve_back(scene: Scene, key: str) -> None:
    orders_usecases.approve_return(_by_staff(scene, f"approve {key}"), key, scene.shop.orders, utc_now())


def refuse_back(scene: Scene, key: str) -> None:
    orders_usecases.refuse_return(_by_staff(scene, f"refuse {key}"), key, "It was worn.", scene.shop.orders, utc_now())


def cancel_back(scene: Scene, key: str) -> None:
    orders_usecases.cancel_return(_by_staff(scene, f"cancel {key}"), key, scene.shop.orders, utc_now())


def receive_back(scene: Scene, key: str, quantity: int, write_off: int = 0) -> None:
    """`quantity` units come, and `write_off` of them cannot be sold again."""
    came = ReceivedLine(product_id=PRODUCT, quantity=quantity, restock=quantity - write_off, write_off=write_off)
    orders_usecases.receive_return(_by_staff(scene, f"receive {key}"), key, (came,), scene.shop.orders, utc_now())
    scene.returned[key] = quantity
    scene.written_off[key] = write_off


def settle(scene: Scene, key: str, quantity: int) -> None:
    """An operator says that units of a parcel that was given up are back."""
    _return_goods(scene, key, quantity, "undelivered")
    scene.returned[key] = quantity


def _return_goods(scene: Scene, key: str, quantity: int, reason: str) -> None:
    lines, request = (ReturnedLine(product_id=PRODUCT, quantity=quantity),), Request(id=key, fingerprint=str(quantity))
    order = scene.shop.orders.load(scene.order_id)
    assert order
    command = orders_usecases.Command(scene.order_id, order.customer_id, request)
    orders_usecases.return_goods(command, lines, reason, TERMS, scene.shop.orders, utc_now())


def _by_staff(scene: Scene, key: str) -> orders_usecases.Command:
    return orders_usecases.Command(scene.order_id, None, Request(id=key, fingerprint=key))


def open_dispute(scene: Scene) -> None:
    """The buyer's bank takes back a part of the money, if it is there, and says so."""
    with suppress(ProviderDeclined):
        scene.shop.provider.dispute(_charge_of(scene), "dispute-1", DISPUTED)
    _tell_of_dispute(scene, "opened")


def decide_dispute(scene: Scene, *, is_won: bool) -> None:
    found = scene.shop.provider.disputes(_charge_of(scene))
    if any(one.status is DisputeStatus.OPEN for one in found):
        scene.shop.provider.close_dispute(_charge_of(scene), "dispute-1", is_won=is_won)
    _tell_of_dispute(scene, "decided")


def _tell_of_dispute(scene: Scene, news: str) -> None:
    changed = ChargeChanged(news, payment_id=scene.payment_id, is_dispute=True)
    payments_usecases.observe(changed, scene.shop.payment_ports(), utc_now())


def refund_some(scene: Scene) -> None:
    refund(scene, "refund-1", SOME)


def refund_most(scene: Scene) -> None:
    refund(scene, "refund-2", MOST)


def return_one(scene: Scene) -> None:
    send_back(scene, "return-1", 1)
    scene.shop.bus.deliver()


def return_two(scene: Scene) -> None:
    send_back(scene, "return-2", QUANTITY - 1)
    scene.shop.bus.deliver()


def cancel_return(scene: Scene) -> None:
    """The customer keeps the unit of `return_one`, if nobody has received it."""
    cancel_back(scene, "return-1")


class _Deaf:
    """The provider, whose response to a refund is lost."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> object:
        return getattr(self._provider, name)

    def refund(self, charge_id: str, amount: Money, key: str) -> None:
        self._provider.refund(charge_id, amount, key)
        raise ProviderTimeout("no answer")


def refund_unheard(scene: Scene) -> None:
    """The provider refunds, but its response is lost, so the shop records nothing. The admin retries later."""
    scene.unanswered.append(refund_some)
    with suppress(TransientError):
        refund(scene, "refund-1", SOME, _Deaf(scene.shop.provider))  # type: ignore[arg-type]


def capture_unheard(scene: Scene) -> None:
    """The provider captures and the shop does not know: an operator did it there, or our process ended after it."""
    with suppress(ProviderDeclined):
        scene.shop.provider.capture(_charge_of(scene), derived_id(scene.order_id, "capture"))


def void_unheard(scene: Scene) -> None:
    """The authorization expires at the provider, and the shop does not know."""
    with suppress(ProviderDeclined):
        scene.shop.provider.void(_charge_of(scene), "the authorization has expired")


def hear_webhook(scene: Scene) -> None:
    told = ChargeChanged("webhook-1", payment_id=scene.payment_id)
    payments_usecases.observe(told, scene.shop.payment_ports(), utc_now())


def hear_of_capture(scene: Scene) -> None:
    capture_unheard(scene)
    hear_webhook(scene)


def hear_of_void(scene: Scene) -> None:
    void_unheard(scene)
    hear_webhook(scene)


def hear_of_refund(scene: Scene) -> None:
    refund_unheard(scene)
    hear_webhook(scene)


def reconcile_all(scene: Scene) -> None:
    """Runs the reconciler one hour later, when it examines every payment that is not settled."""
    reconciler.reconcile(scene.shop.payment_ports(), utc_now() + timedelta(hours=1), lambda: True)


def expire(scene: Scene) -> None:
    inventory_usecases.expire(scene.order_id, scene.shop.stock, utc_now() + timedelta(minutes=31))


def expire_claim(scene: Scene) -> None:
    promotions_usecases.expire(scene.order_id, scene.shop.claims, utc_now() + timedelta(minutes=46))


def claim_again(scene: Scene) -> None:
    order = scene.shop.orders.load(scene.order_id)
    assert order
    assert order.coupons
    asked = {"order_id": scene.order_id, "coupons": order.coupons.model_dump(mode="json")}
    promotions_saga.handler(aws_events.task("ClaimCoupon", asked), None)


def rival_claims(scene: Scene) -> None:
    """The order of another buyer wants a use of the same coupon, which may be the last one, and is confirmed."""
    shop, now = scene.shop, utc_now()
    promotions_usecases.claim("rival", "account:rival", [COUPON], coupons=shop.coupons, claims=shop.claims, now=now)
    promotions_usecases.finish("rival", shop.claims)
    shop.rivals = 1


def claim_order(scene: Scene) -> None:
    """The account's owner verifies the address to which the guest ordered."""
    data = {"user_id": CUSTOMER, "email": EMAIL}
    event = published("user.email_verified", CUSTOMER, data)
    record = aws_events.bus_record(event, "shop-orders", message_id="verified")
    if orders_consumers.handler(aws_events.records(record), None)["batchItemFailures"]:
        raise TransientError("the event is delivered again")


def hear_all(scene: Scene) -> None:
    """Every event that waits is consumed, so the parcel of a confirmed order leaves and arrives."""
    scene.shop.bus.deliver()


def cancel(scene: Scene) -> None:
    """Requests the cancellation. Its undo runs later."""
    scene.shop.cancel(scene.order_id)


def cancel_and_undo(scene: Scene) -> None:
    """Requests the cancellation and runs its whole undo before any other step."""
    scene.shop.cancel(scene.order_id)
    order = scene.shop.orders.load(scene.order_id)
    assert order
    about = {
        "order_id": scene.order_id,
        "customer_id": order.customer_id,
        "reason": "cancelled",
        "step": "Cancellation",
    }
    undone = {"error": {"Error": "CancelledByCustomer", "Cause": ""}}
    for module, task in (
        (shipping_saga, "StopShipment"),
        (payments_saga, "RefundPayment"),
        (inventory_saga, "ReleaseInventory"),
        (promotions_saga, "ReleaseCoupon"),
        (orders_saga, "CancelOrder"),
    ):
        module.handler(aws_events.task(task, about | undone), None)


def carrier_loses_it(scene: Scene) -> None:
    """The carrier reports the parcel as lost in any state. Its queued messages are still processed."""
    lost = Progress(shipment_id_of(scene.order_id), Parcel.FAILED, "SBX1", "lost")
    shipping_usecases.record_progress(lost, sandbox_carrier.NAME, shipments=scene.shop.shipments, now=utc_now())


def carrier_gives_up(scene: Scene) -> None:
    """The carrier cancels the collection if the parcel is not collected yet, and reports the parcel as lost."""
    shipment_id = shipment_id_of(scene.order_id)
    shipment = scene.shop.shipments.load(shipment_id).shipment
    if shipment and shipment.status is Parcel.BOOKED:
        with suppress(AlreadyDispatched):
            shipping_wiring.ports().carrier(utc_now()).cancel(shipment, booking_key_of(shipment_id))
    carrier_loses_it(scene)


def cancel_what_is_lost(scene: Scene) -> None:
    """The carrier gives the parcel up, and the customer cancels right after."""
    scene.do(carrier_gives_up)
    cancel(scene)


def end_what_is_given_up(scene: Scene) -> None:
    """Does what the operator does at the alarm: only a person can find out what became of the parcel."""
    order = scene.shop.orders.load(scene.order_id)
    if order is None or not order.is_given_up:
        return
    if not order.has_left:
        scene.shop.cancel(scene.order_id)
    elif left := sum(line.quantity for line in order.lines) - order.returned(PRODUCT):
        settle(scene, "undelivered", left)
    scene.shop.finish_cancellation(scene.order_id)
    scene.shop.bus.deliver_again()


def reserve_again(scene: Scene) -> None:
    """Repeats the reservation if the saga has reached it. An order whose coupon is used up reserves nothing."""
    if "ReserveInventory" in scene.shop.world.calls:
        lines = [{"product_id": PRODUCT, "quantity": QUANTITY}]
        inventory_saga.handler(aws_events.task("ReserveInventory", {"order_id": scene.order_id, "lines": lines}), None)


def authorize_again(scene: Scene) -> None:
    """Repeats the authorization if the saga has reached it."""
    if "AuthorizePayment" in scene.shop.world.calls:
        order = scene.shop.orders.load(scene.order_id)
        assert order
        asked = {"customer_id": order.customer_id, "amount": TOTAL.model_dump(), "payment_token": order.payment_token}
        payments_saga.handler(aws_events.task("AuthorizePayment", {"order_id": scene.order_id} | asked), None)


def capture_again(scene: Scene) -> None:
    """Repeats the capture if the saga has reached it. A payment is only captured for a confirmed order."""
    if "CapturePayment" in scene.shop.world.calls:
        payments_saga.handler(aws_events.task("CapturePayment", {"order_id": scene.order_id}), None)


def confirm_again(scene: Scene) -> None:
    if "ConfirmOrder" in scene.shop.world.calls:
        asked = {"order_id": scene.order_id, "payment_id": scene.payment_id}
        orders_saga.handler(aws_events.task("ConfirmOrder", asked), None)


def _charge_of(scene: Scene) -> str:
    payment = scene.shop.payments.get(scene.payment_id)
    return payment.charge_id if payment else ""


ACTS: dict[str, Deed] = {
    act.__name__: act
    for act in (
        hear_webhook,
        hear_of_capture,
        hear_of_void,
        hear_of_refund,
        reconcile_all,
        refund_some,
        refund_most,
        return_one,
        return_two,
        cancel_return,
        expire,
        expire_claim,
        claim_again,
        rival_claims,
        claim_order,
        hear_all,
        cancel,
        cancel_and_undo,
        reserve_again,
        authorize_again,
        capture_again,
        confirm_again,
        carrier_loses_it,
        carrier_gives_up,
        cancel_what_is_lost,
    )
}
