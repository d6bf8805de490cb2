"""A shop for one case: the real handlers and consumers, separate tables, and the real state machine."""

from __future__ import annotations

import copy
import functools
import json
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from moto.backends import get_backend
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from documents import wiring as document_wiring
from documents.orders import Orders as OrdersPeer
from documents.store import DocumentStore
from infra.local.easypost.api import KEY, WAREHOUSE, FakeEasyPost
from inventory import saga as inventory_saga
from inventory import usecases as inventory_usecases
from inventory import wiring as inventory_wiring
from inventory.domain import Adjustment, Adjustments
from inventory.domain import Line as StockLine
from inventory.store import InventoryStore
from mercato import aws
from mercato.aws.secret import StoredSecret
from mercato.charges import Charge, total_of
from mercato.charges import Kind as ChargeKind
from mercato.clock import rfc3339, utc_now
from mercato.events import dead_letters
from mercato.guests import guest_of
from mercato.ids import derived_id
from mercato.money import Money
from mercato.peers.client import PeerUnavailable
from mercato.peers.transport import Answer, Transport
from mercato.store.attributes import Item
from notifications import consumers as notification_consumers
from notifications import wiring as notification_wiring
from notifications.order_links import OrderLinks
from notifications.store import NotificationStore
from notifications.unsubscribing import Links
from orders import api as orders_api
from orders import domain as orders_domain
from orders import links
from orders import saga as orders_saga
from orders import usecases as orders_usecases
from orders import wiring as order_wiring
from orders.order import Address, ClaimedCoupons, Contact, Delivery, Guest, Line, Request
from orders.store import OrderStore
from orders.workflow import CANCELLATION, OrderSaga, WaitingSagas
from payments import reconciler
from payments import saga as payments_saga
from payments import wiring as payment_wiring
from payments.domain import ChargeStatus
from payments.providers.sandbox import Sandbox
from payments.store import PaymentStore
from promotions import saga as promotions_saga
from promotions import usecases as promotions_usecases
from promotions import wiring as promotions_wiring
from promotions.domain import Coupon, customer_of
from promotions.domain import Kind as CouponKind
from promotions.store import Claims, Coupons
from relay import bus as relay_bus
from relay import publish
from relay import wiring as relay_wiring
from shipping import saga as shipping_saga
from shipping import sandbox as sandbox_carrier
from shipping import wiring as shipping_wiring
from shipping.bookings import Bookings
from shipping.easypost.api import EasyPostApi
from shipping.easypost.carrier import EasyPostCarrier, Terms, services_of
from shipping.store import ShipmentStore
from tests.chaos.bus import CARRIER, Bus
from tests.chaos.faults import SKIP, SKIPPED, Fault, Injector
from tests.chaos.tables import Act, Watch, WatchedTable
from tests.kit import aws_events
from tests.kit.given import published
from tests.kit.state_machine import World, deploy, forget_the_past, poll, run_state_machines
from tests.kit.template import create_table

CUSTOMER = "customer-1"
PRODUCT = "mug"
STOCKED = 5
PATIENT = 3  # how often the operator sees one parked step before skipping it
QUANTITY = 3
NEIGHBOUR = QUANTITY
SAGA_OVER = "the saga is over, and its events may not be heard yet"
AT_REST = "nothing moves any more"
NEVER_STARTED = "the saga never started"
PRICE, SHIPPING = 1505, 395
SERVICES = ("Orders", "Payments", "Inventory", "Shipping", "Notifications", "Promotions", "Documents")
COUPON, SPENT = "TEN", "GONE"
USES = {COUPON: 2, SPENT: 1}  # the limits, of which a neighbour's order has one use each
CART = f"guest-{'5e' * 24}"  # a guest's
EMAIL = "ada@example.com"  # of the account as of the guest


def charges_for(quantity: int) -> tuple[Charge, ...]:
    """What a quote charges for the goods, 10 % off by a coupon, and for the delivery, all with a tax of 20 %."""
    return tuple(
        Charge(
            kind=kind,
            product_id=product_id,
            description=kind.value,
            quantity=pieces,
            amount=Money(amount=amount, currency="GBP"),
            tax=Money(amount=amount // 6, currency="GBP"),
            rate="0.2000",
            tax_class="standard",
            jurisdiction="GB",
        )
        for kind, product_id, pieces, amount in (
            (ChargeKind.GOODS, PRODUCT, quantity, PRICE * quantity),
            (ChargeKind.DISCOUNT, PRODUCT, quantity, -(PRICE * quantity // 10)),
            (ChargeKind.SHIPPING, None, 1, SHIPPING),
        )
    )


TOTAL = total_of(charges_for(QUANTITY))


class Buyer(Enum):
    """Who orders, and for whom the uses of coupons are counted."""

    ACCOUNT = CUSTOMER
    GUEST = guest_of(CART)

    @property
    def of_coupons(self) -> str:
        return customer_of(self.value, EMAIL)


class Mailbox:
    """The mails that went out, as (subject, body): of notifications, and of orders to guests."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, to: str, subject: str, body: str, unsubscribe: str = "") -> None:
        self.sent.append((subject, body))


class KnownSecret(StoredSecret):
    """A secret that no service keeps."""

    def read(self, now: datetime) -> str:
        return "signs links"


class PeerOfOrders:
    """A client of orders that calls its handler, as a function URL does."""

    def get(self, path: str) -> Any:
        answer = orders_api.handler(aws_events.url_request("GET", path), None)
        if answer["statusCode"] != 200:
            raise PeerUnavailable(f"orders answered {answer['statusCode']}")
        return json.loads(answer["body"])

    def send(self, method: str, path: str, *, safe: bool) -> Answer:
        assert safe
        answer = orders_api.handler(aws_events.url_request(method, path), None)
        return Answer(answer["statusCode"], {}, answer["body"].encode())


class Shop:
    """With `eager`, events are delivered and the parcel moves at once; otherwise after the saga's end.

    `moments` maps a task to the act before its first call, and SAGA_OVER and AT_REST to acts at these moments. `buyer`
    acts each time the saga begins to wait for the buyer. `between` has acts, one for each of the saga's next calls.
    `by_hand` is the money that an operator refunded outside the shop after skipping the refund, in minor units.
    `rivals` is how many uses of the coupon other buyers got while the order was under way.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.watch = Watch()
        self.tables = {name: WatchedTable(f"{name}Table", self.watch) for name in SERVICES}
        self.orders = OrderStore(self.tables["Orders"])
        self.payments = PaymentStore(self.tables["Payments"])
        self.provider = Sandbox(self.tables["Payments"])
        self._asked: Any = self.provider
        self.stock = InventoryStore(self.tables["Inventory"], low_at=1)
        self.shipments = ShipmentStore(self.tables["Shipping"])
        self.coupons, self.claims = Coupons(self.tables["Promotions"]), Claims(self.tables["Promotions"])
        self.mailbox, self.links = Mailbox(), Mailbox()
        self.notifications = NotificationStore(self.tables["Notifications"])
        self.documents = DocumentStore(self.tables["Documents"], sleep=lambda _: None)
        self.bus = Bus(self.watch)
        self.injector = Injector(())
        self.eager = True
        self.moments: dict[str, Act] = {}
        self.buyer: Act | None = None
        self.between: list[Act] = []
        self._waits_met: set[str] = set()
        self.parked: list[str] = []
        self.easypost: FakeEasyPost | None = None
        self.skips = False
        self.by_hand = self.rivals = 0
        self._one_at_a_time = threading.RLock()  # moto is not thread-safe, so the steps of two executions take turns

    def wire(self, patch: pytest.MonkeyPatch) -> None:
        """Injects this shop's tables, provider, mailbox and bus into the services' wiring."""
        about_mail = order_wiring.MailSettings("shop@example.com", "", "https://shop.example.com")
        orders = {"table": self.tables["Orders"], "orders": self.orders, "mail": about_mail, "mailer": self.links}
        vars(order_wiring.ports()).update(orders, workflows=OrderSaga(self.world.arn), sagas=WaitingSagas())
        vars(inventory_wiring.ports()).update(store=self.stock)
        vars(payment_wiring.ports()).update(payments=self.payments, provider=self._asked)
        vars(promotions_wiring.ports()).update(coupons=self.coupons, claims=self.claims)
        vars(shipping_wiring.ports()).update(
            table=self.tables["Shipping"],
            shipments=self.shipments,
            carrier_settings=shipping_wiring.CarrierSettings("sandbox", CARRIER, 0),
        )
        asked = OrdersPeer(PeerOfOrders())  # type: ignore[arg-type]
        vars(document_wiring.ports()).update(documents=self.documents, orders=asked)
        vars(notification_wiring.ports()).update(
            table=self.tables["Notifications"],
            store=self.notifications,
            mailer=self.mailbox,
            settings=notification_wiring.Settings("NotificationsTable", "unused", "https://shop.example"),
            unsubscribing=Links(KnownSecret("unused"), "https://shop.example/unsubscribe/"),
            order_links=OrderLinks(
                PeerOfOrders(),  # type: ignore[arg-type]
                KnownSecret("unused"),
                notification_wiring.ports().address_of,
            ),
        )
        vars(relay_wiring.ports()).update(settings=relay_wiring.Settings("bus", "none"))
        for client_module in (publish, relay_bus, sandbox_carrier, dead_letters):
            patch.setattr(client_module, "aws", SimpleNamespace(client=self.bus.client))
        patch.setattr(dead_letters, "_dlq_url", lambda queue_arn: f"{queue_arn.rpartition(':')[2]}-dlq")
        handlers = {
            "OrdersSaga": orders_saga.handler,
            "InventorySaga": inventory_saga.handler,
            "PaymentsSaga": payments_saga.handler,
            "ShippingSaga": shipping_saga.handler,
            "PromotionsSaga": promotions_saga.handler,
        }
        for name, handler in handlers.items():
            self.world.handlers[name] = functools.partial(self._invoke, handler)

    def unreliable(self, provider: Any) -> None:
        """Makes payments call this provider from now on. `self.provider` stays reliable."""
        self._asked = provider
        vars(payment_wiring.ports()).update(provider=provider)

    def payment_ports(self, provider: Any = None) -> payment_wiring.Ports:
        """The ports of payments with this provider, or with the reliable one."""
        ports = payment_wiring.Ports()
        vars(ports).update(payments=self.payments, provider=provider or self.provider)
        return ports

    def stock_up(self, quantity: int = STOCKED) -> None:
        """Stocks `quantity` units for sale, and units that a neighbour's order holds, which a second release would
        free.
        """
        inventory_usecases.open_stock(PRODUCT, self.stock)
        parts = (Adjustment(PRODUCT, quantity + NEIGHBOUR, "delivery"),)
        inventory_usecases.adjust(Adjustments("adj-1", "print-1", "boss", parts, utc_now()), self.stock)
        told = len(self.watch.outbox)
        inventory_usecases.reserve("neighbour", [StockLine(PRODUCT, NEIGHBOUR)], self.stock, utc_now())
        inventory_usecases.keep("neighbour", self.stock, utc_now())
        del self.watch.outbox[told:]  # the events of the neighbour's order are not compared

    def give_coupons(self) -> None:
        """Makes the coupons, and claims of a neighbour's order, which a second release would free."""
        now = utc_now()
        for code, limit in USES.items():
            new = Coupon(code, "10 % off", CouponKind.PERCENTAGE, now, basis_points=1000, limit_per_customer=1)
            self.coupons.insert(replace(new, limit=limit), code)
        codes = list(USES)
        promotions_usecases.claim(
            "neighbour", "account:neighbour", codes, coupons=self.coupons, claims=self.claims, now=now
        )
        promotions_usecases.finish("neighbour", self.claims)

    def register_customer(self) -> None:
        data = {"user_id": CUSTOMER, "email": EMAIL, "name": "Ada"}
        event = published("user.registered", CUSTOMER, data, time=rfc3339(utc_now() - timedelta(hours=1)))
        batch = aws_events.records(aws_events.bus_record(event, "shop-notifications"))
        assert notification_consumers.handler(batch, None) == {"batchItemFailures": []}
        self.mailbox.sent.clear()

    def place(
        self,
        token: str,
        quantity: int = QUANTITY,
        code: str = COUPON,
        *,
        waits_for_buyer: bool = False,
        buyer: Buyer = Buyer.ACCOUNT,
    ) -> str:
        """Places an order by a quote with a coupon, a delivery and tax. Its event is not delivered yet. Returns the
        order's id.
        """
        order_id = str(uuid.uuid4())
        price = Money(amount=PRICE, currency="GBP")
        quoted = orders_domain.Quoted(
            lines=(Line(product_id=PRODUCT, sku="MUG", name="Mug", quantity=quantity, unit_price=price),),
            charges=charges_for(quantity),
            delivery=Delivery(carrier="sandbox", service="standard", name="Standard", days=3, weight_grams=900),
            coupons=ClaimedCoupons(codes=(code,), customer=buyer.of_coupons),
        )
        facts = orders_domain.place_quoted(order_id, buyer.value, quoted, token, "print")
        if waits_for_buyer:
            facts = orders_domain.let_wait(facts)
        address = Address(name="Ada", line1="12 Square", city="London", postcode="SW1Y", country="GB")
        link = Guest(Contact(email=EMAIL, name="Ada"), links.digest_of(links.token_of(CART, order_id)))
        self.orders.place(order_id, facts, address, utc_now(), link if buyer is Buyer.GUEST else None)
        return order_id

    def run(self, order_id: str, faults: tuple[Fault, ...] = (), *, eager: bool = True) -> str:
        """Runs the order until no event is left. An operator repairs and resumes parked steps. Returns the saga's
        status.
        """
        self.injector, self.eager = Injector(faults), eager
        self.skips = self.skips or any(fault.task == SKIP for fault in faults)
        self._deliver()
        status = self._finish(order_id)
        self._meet(SAGA_OVER)
        self.finish_cancellation(order_id)
        self._give_back_by_hand(order_id)
        with self._one_at_a_time:
            self.injector.finish_late_calls()
        self.finish_cancellation(order_id)
        self._meet(AT_REST)
        self.finish_cancellation(order_id)
        with self._one_at_a_time:
            self.bus.deliver_again()
        return status

    def cancel(self, order_id: str) -> None:
        """Requests the order's cancellation, as its customer does."""
        order = self.orders.load(order_id)
        assert order
        request = Request(id=f"cancel-{order_id}", fingerprint="print")
        command = orders_usecases.Command(order_id, order.customer_id, request)
        orders_usecases.cancel_order(command, "other", self.orders, utc_now())

    def finish_cancellation(self, order_id: str) -> None:
        """Delivers what is left, and if the customer has cancelled, runs that cancellation to its end."""
        self._deliver()
        order = self.orders.load(order_id)
        if order and order.cancellation is not None:
            self._finish(f"{order_id}{CANCELLATION}")
            self._deliver()

    def _give_back_by_hand(self, order_id: str) -> None:
        """Refunds the rest outside the shop after a skip, as the runbook says. A later refund by the shop would be too
        much.
        """
        payment = self.payments.get(derived_id("payment", order_id))
        charge = self.provider.find(payment.charge_id) if payment and payment.written_off else None
        if charge and charge.status is ChargeStatus.CAPTURED:
            self.by_hand = charge.amount.amount - charge.refunded

    def has_collected(self, booking_key: str) -> bool:
        """Whether the carrier has the parcel."""
        if self.easypost:
            return any(one["tracker"]["status"] == "delivered" for one in self.easypost.with_labels())
        booking = self.tables["Shipping"].get(f"SANDBOX#BOOKING#{booking_key}", "BOOKING")
        return booking is not None and booking["status"] == "collected"

    def send_by_easypost(self, fake: FakeEasyPost) -> None:
        """From now on, parcels go by EasyPost, at the wire of this fake."""
        self.easypost = fake
        api = EasyPostApi(lambda: KEY, lambda: None, Transport(), fake.url)
        terms = Terms(services_of("standard=USPS/GroundAdvantage"), WAREHOUSE)
        carrier = EasyPostCarrier(api, Bookings(self.tables["Shipping"]), terms)
        settings = shipping_wiring.CarrierSettings("easypost", CARRIER, 0)
        vars(shipping_wiring.ports()).update(carrier_settings=settings, easypost=carrier)

    def reconcile(self) -> reconciler.Outcome:
        """Runs the reconciler one hour later, when it examines every payment that is not settled."""
        with self._one_at_a_time:
            later = utc_now() + timedelta(hours=1)
            outcome = reconciler.reconcile(self.payment_ports(self._asked), later, lambda: True)
        self._deliver()
        return outcome

    def waits(self, order_id: str) -> bool:
        """Whether the order's saga waits for the buyer, in a wait that `buyer` has not met."""
        order, wait = self.orders.load(order_id), self.orders.find_wait(order_id, utc_now())
        if order is None or order.awaited is None or order.awaited.is_answered or wait is None:
            return False
        return wait.attempt == order.awaited.attempt and wait.place not in self._waits_met

    def _meet_buyer(self, order_id: str) -> None:
        if "AwaitBuyer" not in self.world.calls:
            return
        with self._one_at_a_time:
            if self.buyer is None or not self.waits(order_id):
                return
            wait = self.orders.find_wait(order_id, utc_now())
            assert wait
            self._waits_met.add(wait.place)
            self.buyer()
            self.bus.deliver()

    def _meet(self, moment: str) -> None:
        """Runs the act of this moment, if there is one, and removes it."""
        with self._one_at_a_time:
            self.moments.pop(moment, lambda: None)()

    def _deliver(self) -> None:
        with self._one_at_a_time:
            self.bus.deliver()

    def _finish(self, execution: str) -> str:
        arn = self.world.arn.replace(":stateMachine:", ":execution:") + f":{execution}"
        client, queue = aws.client("stepfunctions"), aws.client("sqs")
        executions = stepfunctions_parser_backends["123456789012"]["us-east-1"]

        if not any(one.execution_arn == arn for one in executions.state_machines[0].executions):
            return NEVER_STARTED

        def look() -> str | None:
            status = str(executions.describe_execution(arn).status)
            if status != "RUNNING":
                return status
            self._meet_buyer(execution)
            if "MarkNeedsAttention" not in self.world.calls:
                return None
            for message in queue.receive_message(QueueUrl=self.world.queue_url).get("Messages", []):
                queue.delete_message(QueueUrl=self.world.queue_url, ReceiptHandle=message["ReceiptHandle"])
                body = json.loads(message["Body"])
                self.parked.append(body["step"])
                self.injector.mend(body["step"])
                if any(fault.task == SKIP for fault in self.injector.met):
                    self.injector.mend(SKIP)
                # One retry after the repair must succeed. A step that stays parked is skipped, and the books report it.
                is_patient = self.parked.count(body["step"]) < PATIENT
                is_skipped = self.skips and body["step"] in SKIPPED
                action = "retry" if is_patient and not is_skipped else "skip"
                client.send_task_success(taskToken=body["task_token"], output=json.dumps({"action": action}))
            return None

        return poll(look)

    def _invoke(self, handler: Any, payload: dict[str, Any]) -> Any:
        with self._one_at_a_time:
            if self.between:
                self.between.pop(0)()
            self._meet(payload["task"])
            try:
                return self.injector.call(lambda given: handler(given, None), payload)
            finally:
                if self.eager:
                    self.bus.deliver()


@dataclass(frozen=True)
class Past:
    """What a shop has at one moment, from which others begin: its tables, executions, calls, events and mails."""

    items: dict[str, Any]
    executions: list[Any]
    calls: list[str]
    outbox: list[Item]
    published: list[dict[str, Any]]
    mails: list[tuple[str, str]]


class Mall:
    """Opens a shop per case on one deployed state machine, whose deployment takes longer than a case."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        run_state_machines(patch)
        self._patch = patch
        self._world = deploy(patch, {})
        self._delivered: tuple[Past, str] | None = None
        for service in SERVICES:
            create_table(f"{service}Table")

    def open(self, stocked: int = STOCKED) -> Shop:
        shop = self._empty()
        shop.stock_up(stocked)
        shop.give_coupons()
        shop.register_customer()
        return shop

    def open_delivered(self) -> tuple[Shop, str]:
        """A shop whose good order, placed by an account, is delivered, with no event left. Returns the order's id too.

        The order is placed and delivered once, and each shop begins with a copy of what that left.
        """
        if self._delivered is None:
            shop = self.open()
            order_id = shop.place("tok_ok")
            shop.run(order_id)
            self._delivered = self._past_of(shop), order_id
        past, order_id = self._delivered
        return self._begin_with(past), order_id

    def _past_of(self, shop: Shop) -> Past:
        return Past(
            items={name: copy.deepcopy(table.items) for name, table in self._tables().items()},
            executions=list(self._executions()),
            calls=list(self._world.calls),
            outbox=list(shop.watch.outbox),
            published=list(shop.bus.published),
            mails=list(shop.mailbox.sent),
        )

    def _begin_with(self, past: Past) -> Shop:
        shop = self._empty()
        for name, table in self._tables().items():
            table.items = copy.deepcopy(past.items[name])
        self._executions()[:] = past.executions
        self._world.calls[:] = past.calls
        shop.watch.outbox[:] = past.outbox
        shop.bus.begin_with(past.published)
        shop.mailbox.sent[:] = past.mails
        return shop

    def _empty(self) -> Shop:
        forget_the_past()
        self._world.calls.clear()
        self._world.payloads.clear()
        for table in self._tables().values():
            table.items.clear()
        shop = Shop(self._world)
        shop.wire(self._patch)
        return shop

    @staticmethod
    def _tables() -> dict[str, Any]:
        found: dict[str, Any] = get_backend("dynamodb")["123456789012"]["us-east-1"].tables
        return found

    @staticmethod
    def _executions() -> list[Any]:
        found: list[Any] = stepfunctions_parser_backends["123456789012"]["us-east-1"].state_machines[0].executions
        return found
