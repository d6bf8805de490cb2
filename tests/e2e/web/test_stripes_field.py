"""Stripe's own field for a card, and the bank's question in Stripe's own window: the pages in a browser, with what
Stripe serves played by tests/kit/stripe_js.py and the shop's API in this process.

tests/chaos/test_paid_by_stripe.py pays so in a whole shop.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

import storefront.wiring
from infra.local.http_server import Answer, serving
from mercato.clock import rfc3339, utc_now
from tests.e2e.web.conftest import PATIENCE
from tests.kit import stripe_js
from tests.kit.stripe_js import answer_bank, type_card
from tests.unit.pages.conftest import Ask, api, shop  # noqa: F401 - fixtures
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract
from tests.unit.pages.test_checkout import open_checkout  # noqa: F401 - a fixture

ORDER, SECRET = "o1", "pi_1_secret_2"
CHECKOUT = "/checkout/s1"
CARD = "4242424242424242"


@dataclass
class Counter:
    """A shopper's browser, the shop behind it, and Stripe beside it."""

    context: BrowserContext
    page: Page
    site: str
    api: ShopApi
    sent: list[str]  # all that the shop got
    cards: list[str] = field(default_factory=list)  # the cards that Stripe got
    said: list[str] = field(default_factory=list)  # errors of the console
    status: str = "requires_action"  # of the intent at Stripe
    answers: list[bool] = field(default_factory=list)  # the bank's

    def open(self, path: str) -> Response:
        answer = self.page.goto(self.site + path)
        assert answer is not None
        return answer

    def stripes_api(self, method: str, path: str, fields: dict[str, str]) -> tuple[int, Any]:
        assert fields["key"] == "pk_test_1"
        if (method, path) == ("POST", "/v1/payment_methods"):
            self.cards.append(fields["card[number]"])
            return 200, {"id": f"pm_{len(self.cards)}", "object": "payment_method"}
        assert (method, path, fields["client_secret"]) == ("GET", "/v1/payment_intents/pi_1", SECRET)
        return 200, {"id": "pi_1", "object": "payment_intent", "status": self.status}

    def confirm(self, secret: str, is_confirmed: bool) -> None:
        assert secret == SECRET
        self.answers.append(is_confirmed)

    def wait(self, state: str, secret: str = "") -> None:
        """Has the order wait for its buyer from now on."""
        _, order = answer_of_the_contract("GET", f"/api/orders/{ORDER}")
        payment = {
            "state": state,
            "action": {"url": "", "client_secret": secret} if secret else None,
            "attempts": 1,
            "until": rfc3339(utc_now() + timedelta(minutes=12)),
            "reason": "card_declined",
            "detail": "Your bank declined the card." if state == "declined" else "Your bank asks you to confirm.",
        }
        placed = {"order_id": ORDER, "status": "pending", "updated_at": rfc3339(utc_now())}
        self.api.answers[f"GET /api/orders/{ORDER}"] = (200, order | placed | {"payment": payment})

    def bodies(self, route: str) -> list[Any]:
        return [body for _, _, _, body, _ in self.api.of(route)]


@contextmanager
def served(shop: Ask, sent: list[str]) -> Iterator[str]:  # noqa: F811
    """The storefront at an address of its own. `sent` gets what it is asked. Yields the address."""

    def answer(method: str, path: str, headers: dict[str, str], content: bytes) -> Answer:
        body = content.decode()
        sent.append(f"{path} {body}")
        by_script = {name: value for name, value in headers.items() if name == "hx-request"}
        found = shop(method, path, dict(parse_qsl(body)), as_user=True, headers=by_script)
        return found.status, found.headers, base64.b64decode(found.text) if found.is_base64 else found.text.encode()

    with serving(answer) as url:
        yield url.replace("127.0.0.1", "localhost")


@pytest.fixture
def counter(
    browser: Browser,
    shop: Ask,  # noqa: F811
    open_checkout: ShopApi,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Counter]:
    sent: list[str] = []
    with served(shop, sent) as site:
        monkeypatch.setenv("SITE_URL", site)
        monkeypatch.setenv("PAYMENT_PROVIDER", "stripe")
        monkeypatch.setenv("STRIPE_PUBLISHABLE_KEY", "pk_test_1")
        yield from opened(browser, site, sent, open_checkout, getattr(request, "param", {}))


def opened(
    browser: Browser,
    site: str,
    sent: list[str],
    api: ShopApi,  # noqa: F811
    options: dict[str, Any],
) -> Iterator[Counter]:
    storefront.wiring.ports.cache_clear()
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(PATIENCE)
    found = Counter(context, context.new_page(), site, api, sent)
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.on(
        "console", lambda message: found.said.append(message.text) if message.type in ("error", "warning") else None
    )
    stripe_js.serve(context, found.stripes_api, found.confirm)
    api.answers[f"POST /api/orders/{ORDER}/payments"] = (202, {"order_id": ORDER})
    yield found
    context.close()


def test_the_card_goes_to_stripe_and_the_shop_gets_a_name_for_it(counter: Counter) -> None:
    counter.open(CHECKOUT)
    type_card(counter.page)
    assert Axe().run(counter.page).response["violations"] == []
    counter.page.get_by_role("button", name="Place the order").dblclick()
    counter.page.wait_for_url(f"**/orders/{ORDER}?said=placed")
    assert [body["payment_token"] for body in counter.bodies("POST /api/orders/quoted")] == ["pm_1"]
    assert counter.cards == [CARD]
    assert not [one for one in counter.sent if CARD in one or "4242" in one]
    assert counter.said == []


def test_stripe_is_let_in_where_one_pays_and_nowhere_else(counter: Counter) -> None:
    counter.wait("declined")
    pays, other = [counter.open(path) for path in (CHECKOUT, f"/orders/{ORDER}")], counter.open("/cart")
    for page in pays:
        policy = page.headers["content-security-policy"]
        assert "script-src 'self' https://js.stripe.com https://*.js.stripe.com;" in policy
        assert "frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com" in policy
        assert "connect-src 'self' https://api.stripe.com;" in policy
        assert "unsafe" not in policy
    counter.api.answers[f"GET /api/orders/{ORDER}"][1]["payment"] = None
    for page in (other, counter.open("/checkout"), counter.open(f"/orders/{ORDER}")):
        assert (page.status, "stripe" in page.headers["content-security-policy"]) == (200, False)
    assert counter.page.locator("script[src*=stripe]").count() == 0


def test_an_incomplete_card_is_told_at_the_field_and_nothing_is_sent(counter: Counter) -> None:
    counter.open(CHECKOUT)
    type_card(counter.page, "4242")
    order = counter.page.get_by_role("button", name="Place the order")
    order.click()
    expect(counter.page.locator("#card-error")).to_have_text("Your card number is incomplete.")
    assert counter.cards == counter.bodies("POST /api/orders/quoted") == []
    type_card(counter.page)
    expect(order).to_be_enabled()
    order.click()
    counter.page.wait_for_url(f"**/orders/{ORDER}?said=placed")


def test_a_card_is_kept_while_a_new_total_is_agreed_to_and_another_one_replaces_it(counter: Counter) -> None:
    counter.api.refuse("POST /api/orders/quoted", 409, "quote-outdated", "Something has changed.", differences=[])
    counter.open(CHECKOUT)
    type_card(counter.page)
    counter.page.get_by_role("button", name="Place the order").click()
    expect(counter.page.get_by_text("Your card is kept.")).to_be_visible()
    counter.page.get_by_role("button", name="Place the order").click()
    expect(counter.page.get_by_text("Your card is kept.")).to_be_visible()
    type_card(counter.page, "5555 5555 5555 4444")
    counter.api.answers["POST /api/orders/quoted"] = (202, {"order_id": ORDER})
    counter.page.get_by_role("button", name="Place the order").click()
    counter.page.wait_for_url(f"**/orders/{ORDER}?said=placed")
    tokens = [body["payment_token"] for body in counter.bodies("POST /api/orders/quoted")]
    assert tokens == ["pm_1", "pm_1", "pm_2"]


def test_without_stripes_script_the_page_says_so_and_sends_nothing(counter: Counter) -> None:
    counter.context.route("https://js.stripe.com/**", lambda route: route.abort())
    counter.open(CHECKOUT)
    expect(counter.page.locator("#card-error")).to_contain_text("let js.stripe.com through")
    counter.page.get_by_role("button", name="Place the order").click()
    counter.wait("action_required", SECRET)
    counter.open(f"/orders/{ORDER}")
    counter.page.get_by_role("button", name="Confirm with your bank").click()
    expect(counter.page.locator("#confirm-error")).to_contain_text("let js.stripe.com through")
    assert {method for _, method, *_ in counter.api.asked} == {"GET"}


@pytest.mark.parametrize("counter", [{"java_script_enabled": False}], indirect=True)
def test_without_script_a_sentence_says_what_is_needed(counter: Counter) -> None:
    counter.wait("action_required", SECRET)
    counter.open(CHECKOUT)
    expect(counter.page.get_by_text("Paying by card needs JavaScript")).to_be_visible()
    counter.open(f"/orders/{ORDER}")
    expect(counter.page.get_by_text("Your bank's question needs JavaScript")).to_be_visible()
    expect(counter.page.get_by_role("button", name="Confirm with your bank")).to_be_hidden()


@pytest.mark.parametrize(("button", "is_confirmed"), [("Complete", True), ("Fail", False)])
def test_the_bank_asks_in_stripes_window_and_the_shop_is_told_to_look(
    counter: Counter, button: str, is_confirmed: bool
) -> None:
    counter.wait("action_required", SECRET)
    counter.open(f"/orders/{ORDER}")
    assert Axe().run(counter.page).response["violations"] == []
    counter.page.get_by_role("button", name="Confirm with your bank").click()
    answer_bank(counter.page, button)
    counter.page.wait_for_url(f"**/orders/{ORDER}?said=confirmed")
    assert counter.answers == [is_confirmed]
    assert counter.bodies(f"POST /api/orders/{ORDER}/payments") == [{}]
    assert counter.said == []


def test_a_question_that_was_answered_before_is_looked_up_again(counter: Counter) -> None:
    """In another tab, or by the bank's app: Stripe's script raises an error, and the shop asks Stripe itself."""
    counter.wait("action_required", SECRET)
    counter.status = "requires_capture"
    counter.open(f"/orders/{ORDER}")
    counter.page.get_by_role("button", name="Confirm with your bank").click()
    counter.page.wait_for_url(f"**/orders/{ORDER}?said=confirmed")


def test_a_lost_connection_to_stripe_leaves_the_question_open(counter: Counter) -> None:
    counter.wait("action_required", SECRET)
    counter.open(f"/orders/{ORDER}")
    counter.context.route("https://api.stripe.com/**", lambda route: route.abort())
    counter.page.get_by_role("button", name="Confirm with your bank").click()
    expect(counter.page.locator("#confirm-error")).to_have_text("We could not reach Stripe. Please try again.")
    assert counter.bodies(f"POST /api/orders/{ORDER}/payments") == []


def test_another_card_is_typed_on_the_orders_page(counter: Counter) -> None:
    counter.wait("declined")
    counter.open(f"/orders/{ORDER}")
    counter.page.get_by_role("link", name="Use another card").click()
    type_card(counter.page)
    assert Axe().run(counter.page).response["violations"] == []
    counter.page.get_by_role("button", name="Pay ").click()
    counter.page.wait_for_url(f"**/orders/{ORDER}?said=paying")
    assert counter.bodies(f"POST /api/orders/{ORDER}/payments") == [{"payment_token": "pm_1"}]


def test_a_page_that_waits_shows_the_form_once_the_bank_asks(counter: Counter) -> None:
    counter.wait("processing")
    counter.open(f"/orders/{ORDER}")
    expect(counter.page.locator("#payment")).to_contain_text("We are asking your bank.")
    counter.wait("action_required", SECRET)
    expect(counter.page.get_by_role("button", name="Confirm with your bank")).to_be_visible()


@pytest.mark.parametrize(
    "counter", [{"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}], indirect=True
)
def test_what_is_typed_has_the_pages_colour_in_the_dark(counter: Counter) -> None:
    counter.open(CHECKOUT)
    type_card(counter.page)
    number = counter.page.frame_locator("#card iframe").get_by_label("card number")
    expect(number).to_have_css("color", "rgb(242, 237, 227)")
    assert Axe().run(counter.page).response["violations"] == []


@pytest.mark.parametrize("key", ["", "Enter"])
def test_a_card_that_is_half_typed_stays_while_a_code_is_tried(counter: Counter, key: str) -> None:
    changed = counter.api.answers["PATCH /api/checkouts/s1"]
    counter.api.refuse("PATCH /api/checkouts/s1", 422, "code-rejected", "We do not know this code.")
    counter.open(CHECKOUT)
    type_card(counter.page, "4242 4242")
    field = counter.page.frame_locator("#card iframe").get_by_label("card number")
    code = counter.page.get_by_label("Code of a voucher")
    code.fill("NONE-10")
    if key:
        code.press(key)
    else:
        counter.page.locator("#use-code").click()
    expect(counter.page.locator("#code-error")).to_have_text("We do not know this code.")
    expect(code).to_have_value("NONE-10")
    expect(field).to_have_value("4242 4242")

    counter.api.answers["PATCH /api/checkouts/s1"] = changed
    code.fill("SOME-10")
    counter.page.locator("#use-code").click()
    expect(counter.page.locator("#codes")).to_contain_text("The code SOME-10 is used.")
    expect(code).to_have_value("")
    expect(field).to_have_value("4242 4242")
    assert Axe().run(counter.page).response["violations"] == []
    counter.said.clear()  # Chromium notes the 422


def test_a_card_that_is_half_typed_stays_when_the_total_cannot_be_shown(counter: Counter) -> None:
    counter.open(CHECKOUT)
    type_card(counter.page, "4242 4242")
    counter.api.refuse("PATCH /api/checkouts/s1", 409, "checkout-locked", "This checkout is being ordered.")
    counter.page.get_by_label("Express").check()
    expect(counter.page.locator("#trouble")).to_contain_text("This checkout is being ordered.")
    field = counter.page.frame_locator("#card iframe").get_by_label("card number")
    expect(field).to_have_value("4242 4242")
    counter.said.clear()  # Chromium notes the 409
