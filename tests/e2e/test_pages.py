"""The pages of the running shop without a browser: their content, and attacks on them."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from infra.demo.stage import Stage
from infra.operator.client import Session, Shop, poll
from infra.operator.target import Account, State

OWN = {"Sec-Fetch-Site": "same-origin"}


class Visitor(httpx.Client):
    """An HTTP client that behaves as a browser: it keeps cookies, and sends forms with the site's own origin."""

    def __init__(self, site: str) -> None:
        super().__init__(base_url=site, timeout=60)

    def send(self, request: httpx.Request, **how: object) -> httpx.Response:
        # Browsers send a Secure cookie to http://localhost, too; httpx does not.
        kept = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies.jar)
        if kept:
            request.headers["Cookie"] = kept
        return super().send(request, **how)  # type: ignore[arg-type]

    def read(self, path: str) -> httpx.Response:
        """Requests the page, and again while it reports that it is busy."""
        return poll(lambda: self.get(path), lambda answer: answer.status_code != 503, what=path, within=60)

    def submit(self, path: str, /, **fields: str) -> httpx.Response:
        return self.post(path, data=fields, headers=OWN)

    def log_in(self, account: Account, at: str = "/login") -> httpx.Response:
        return self.submit(at, email=account.email, password=account.password)


@pytest.fixture
def visitor(shop_state: State) -> Iterator[Visitor]:
    with Visitor(shop_state.base_url) as found:
        yield found


def hidden_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def first_product(visitor: Visitor) -> str:
    found = re.search(r'href="/p/([^"]+)"', visitor.get("/").text)
    assert found
    return found[1]


def test_a_guest_looks_around_and_fills_a_cart(visitor: Visitor) -> None:
    product = first_product(visitor)
    poll(
        lambda: visitor.get(f"/p/{product}").text,
        lambda page: "Delivery (United Kingdom): standard" in page,
        what="the delivery's price",
        within=60,
    )

    added = visitor.submit("/cart/lines", product_id=product, quantity="2")
    assert (added.status_code, added.headers["Location"]) == (303, "/cart")
    assert re.fullmatch(
        r"__Host-cart=guest-\w+; Path=/; Max-Age=7776000; Secure; HttpOnly; SameSite=Lax", added.headers["Set-Cookie"]
    )
    assert 'value="2"' in visitor.get("/cart").text
    assert "</span>2</span>" in visitor.get("/cart/count").text


def test_a_guest_buys_and_opens_the_invoice(visitor: Visitor) -> None:
    visitor.submit("/cart/lines", product_id=first_product(visitor), quantity="1")
    address = {"name": "Gita", "line1": "1 Quay", "city": "Leith", "postcode": "EH6 6QQ", "country": "GB"}
    contact = {"email": f"{uuid.uuid4()}@example.com"}
    opened = visitor.submit("/checkout", **hidden_fields(visitor.read("/checkout").text), **address, **contact)
    checkout = opened.headers["Location"]
    service = {"service": "standard", "payment_token": "tok_ok"}
    placed = visitor.submit(checkout, **hidden_fields(visitor.read(checkout).text) | service)
    assert (placed.status_code, placed.headers["Location"]) == (303, "/guest-order?said=placed")

    page = poll(
        lambda: visitor.read("/guest-order").text.replace("&#x2f;", "/"),
        lambda page: 'href="/guest-order/documents/' in page,
        what="the invoice",
        within=60,
    )
    [document] = re.findall(r'href="(/guest-order/documents/[^"]+)"', page)
    answer = poll(
        lambda: visitor.get(document), lambda answer: answer.status_code != 409, what="the invoice's file", within=60
    )
    assert answer.status_code == 303
    assert httpx.get(answer.headers["Location"]).content.startswith(b"%PDF-")


def test_every_page_has_a_strict_policy_and_its_files_are_kept(visitor: Visitor) -> None:
    page = visitor.get("/")
    assert page.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self';"
    )
    assert page.headers["Cache-Control"] == "no-store"
    files = [found.replace("&#x2f;", "/") for found in re.findall(r'(?:href|src)="([^"]*static[^"]*)"', page.text)]
    assert len(files) == 4
    for file in files:
        answer = visitor.get(file, headers={"Accept-Encoding": "br"})
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert ("Content-Encoding" in answer.headers) == file.endswith((".css", ".js"))


def test_a_session_is_in_cookies_that_no_script_reads_and_in_no_page(visitor: Visitor, shop_state: State) -> None:
    answer = visitor.log_in(shop_state.customer)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    written = answer.headers.get_list("Set-Cookie")
    assert {cookie.partition("=")[0] for cookie in written} == {"__Host-a", "__Host-r"}
    for cookie in written:
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    tokens = [cookie.value or "" for cookie in visitor.cookies.jar]
    for path in ("/", "/cart", "/orders", "/account", "/notices", "/checkout"):
        page = visitor.read(path)
        assert page.status_code == 200, path
        assert not any(token in page.text or token in str(page.headers) for token in tokens)

    assert visitor.post("/logout", headers=OWN).status_code == 303
    assert visitor.get("/orders").headers["Location"] == "/login?back=%2Forders"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9999"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "https://evil.example"},
    ],
)
def test_a_form_of_another_site_or_port_changes_nothing(
    visitor: Visitor, shop_state: State, headers: dict[str, str]
) -> None:
    visitor.log_in(shop_state.customer)

    assert visitor.post("/account/name", data={"name": "Mallory"}, headers=headers).status_code == 403
    assert "Mallory" not in visitor.get("/account").text


def test_a_browser_that_states_no_site_is_known_by_its_origin(visitor: Visitor, shop_state: State) -> None:
    headers = {"Origin": shop_state.base_url}
    answer = visitor.post("/cart/lines", data={"product_id": first_product(visitor)}, headers=headers)
    assert answer.status_code == 303


def test_another_customers_order_is_not_there(
    visitor: Visitor, shop: Shop, shop_state: State, customer: Session
) -> None:
    product = customer.get("/products", limit=1)["items"][0]
    order = {
        "lines": [{"product_id": product["product_id"], "quantity": 1, "unit_price": product["price"]}],
        "payment_token": "tok_ok",
        "shipping_address": {"name": "X", "line1": "1", "city": "Y", "postcode": "EH6 6QQ", "country": "GB"},
    }
    order_id = customer.post("/orders", order, key="pages-another-order")["order_id"]
    visitor.log_in(shop_state.customer)

    assert visitor.get(f"/orders/{order_id}").status_code == 404
    assert visitor.submit(f"/orders/{order_id}/cancel", key="0123456789", reason="other").status_code == 404

    # Staff find the order by its customer's address, and by no other address.
    visitor.log_in(shop_state.admin, at="/console/login")
    email = customer.get("/users/me")["email"]
    found = poll(
        lambda: visitor.read(f"/console/orders?email={email}").text,
        lambda page: order_id[:8] in page,
        what="the order in the console",
        within=60,
    )
    assert found.count("<tr><td>") == 1
    assert order_id[:8] not in visitor.read(f"/console/orders?email=x{email}").text

    # So they do by its number, which the page shows, however they type it.
    number = customer.get(f"/orders/{order_id}")["number"]
    assert f"<code>{number}</code>" in found
    typed = number.replace("-", " ").lower()
    assert f"/console/orders/{order_id}" in visitor.read(f"/console/orders?number={quote(typed)}").text
    assert "This is no order number." in visitor.read(f"/console/orders?number={number[:-1]}").text


def test_a_customer_does_not_come_into_the_console(visitor: Visitor, shop_state: State) -> None:
    refused = visitor.log_in(shop_state.customer, at="/console/login")
    assert refused.status_code == 422
    assert "This account may not use the console." in refused.text
    assert visitor.get("/console").headers["Location"].startswith("/console/login")

    # The shop's tokens in the console's cookies do not work, either.
    visitor.log_in(shop_state.customer)
    for cookie in list(visitor.cookies.jar):
        visitor.cookies.set(cookie.name.replace("__Host-", "__Host-console-"), cookie.value or "")
    for path in (
        "/console/sagas",
        "/console/letters",
        "/console/circuits",
        "/console/audit",
        "/console/orders",
        "/console/stock",
        "/console/parcels",
        "/console/returns",
    ):
        assert visitor.read(path).status_code == 403, path


def test_an_operator_reads_every_page_of_the_console(visitor: Visitor, shop_state: State) -> None:
    assert visitor.log_in(shop_state.admin, at="/console/login").headers["Location"] == "/console"
    home = visitor.get("/console")
    links = set(re.findall(r'href="(/console/\w+)"', home.text.replace("&#x2f;", "/")))
    assert len(links) >= 7
    for link in sorted(links):
        page = visitor.read(link)
        assert page.status_code == 200, link
        assert "<h1>" in page.text


@pytest.mark.parametrize(
    "back", ["//evil.example/", "https://evil.example/", "/\\evil.example", "/%0d%0aSet-Cookie:a=b"]
)
def test_a_log_in_leads_to_no_other_site(visitor: Visitor, shop_state: State, back: str) -> None:
    account = shop_state.customer
    answer = visitor.submit("/login", email=account.email, password=account.password, back=back)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/")
    assert not answer.headers["Location"].startswith(("//", "/\\"))
    assert {cookie.partition("=")[0] for cookie in answer.headers.get_list("Set-Cookie")} == {"__Host-a", "__Host-r"}


def test_a_stranger_is_no_peer_behind_the_pages(visitor: Visitor, shop_state: State) -> None:
    """The event of an HTTP API has the account's id, as the event of a signed function URL has."""
    answer = visitor.get("/orders", headers={"X-User-Id": "victim", "X-Source-Address": "10.0.0.1"})
    assert answer.headers["Location"] == "/login?back=%2Forders"


def test_junk_is_answered_by_a_page_and_breaks_nothing(visitor: Visitor) -> None:
    for path in (
        "/p/%00",
        "/p/" + "x" * 300,
        "/?q=" + "%F0%9F" * 50,
        "/?min=1e9&max=-1",
        "/orders/..%2F..",
        "/cart/lines",
    ):
        assert visitor.get(path).status_code < 500, path
    assert visitor.post("/cart/lines", content=b"\xff\xfe", headers=OWN).status_code in (400, 415, 422)
    assert visitor.post("/cart/lines", json={"product_id": "x"}, headers=OWN).status_code == 400
    assert visitor.submit("/cart/lines", product_id="no-such-product").status_code in (404, 422)
    assert visitor.submit("/cart/lines", product_id=first_product(visitor), quantity="many").status_code == 422
    assert visitor.delete("/cart", headers=OWN).status_code == 405


def test_one_click_in_a_mail_ends_its_kind_without_a_log_in(
    visitor: Visitor, shop: Shop, admin: Session, shop_state: State
) -> None:
    """The mail providers send RFC 8058's form to the page of the link, and a client may call the API itself."""
    stage = Stage(shop, admin, shop_state.endpoint, patience=90)
    olga = stage.new_customer("Olga")
    order = stage.order(olga, stage.new_product("Mailed mug", 1250, stock=3), 1)["order_id"]
    [told] = stage.notifications_of(olga, "order_delivered", order)
    [mail] = poll(lambda: stage.mails_to(olga.email, told["subject"]), bool, what="the mail", within=60)
    link = re.search(rf"{re.escape(shop_state.base_url)}(/unsubscribe/\S+)", mail["BodyText"])
    assert link, mail["BodyText"]

    def is_wanted() -> bool:
        kinds = olga.get("/notifications/preferences")["kinds"]
        return bool(next(one["email"] for one in kinds if one["kind"] == "order_delivered"))

    assert visitor.get(link[1]).status_code == 200
    assert is_wanted(), "a link that is only opened ends nothing"
    assert visitor.post(link[1], data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert not is_wanted()
    token = link[1].rpartition("/")[2]
    assert shop.call("POST", f"/notifications/unsubscriptions/{token}") == {"kind": "order_delivered"}
