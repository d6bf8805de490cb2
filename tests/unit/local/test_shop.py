from __future__ import annotations

import httpx
import pytest

from infra.operator.client import Refused, Session, TooLate, Unreachable, poll
from tests.unit.local.fake_shop import FakeShop, FakeTime, once, problem

ADDRESS = {"name": "Ada", "line1": "1 Street", "city": "London", "postcode": "E1", "country": "GB"}


def lost() -> httpx.Response:
    raise httpx.ReadTimeout("the answer was lost")


def with_product(shop: FakeShop) -> FakeShop:
    shop.stock["lamp"] = {"product_id": "lamp", "on_hand": 10, "reserved": 0, "available": 10}
    return shop


def place(session: Session, key: str = "key-1") -> dict[str, object]:
    lines = [{"product_id": "lamp", "quantity": 2, "unit_price": {"amount": 150, "currency": "GBP"}}]
    return session.place_order(lines, token="tok_ok", address=ADDRESS, key=key)


@pytest.mark.parametrize("fault", [lost, lambda: problem(503, "busy"), lambda: problem(429, "slow-down")])
def test_an_order_is_retried_with_the_same_key_and_placed_once(fault: object) -> None:
    shop = with_product(FakeShop())
    session = shop.client().join("ada@example.com", "a password", "Ada")
    shop.faults.append(once(fault, "POST", "/orders"))  # type: ignore[arg-type]
    place(session)
    sent = [request for request in shop.requests if request.url.path == "/api/orders"]
    assert [request.headers["Idempotency-Key"] for request in sent] == ["key-1", "key-1"]
    assert sent[0].content == sent[1].content
    assert len(shop.orders) == 1
    assert shop.stock["lamp"]["reserved"] == 2


def test_it_waits_as_long_as_the_shop_asks_for() -> None:
    shop, time = with_product(FakeShop()), FakeTime()
    session = shop.client(time).join("ada@example.com", "a password", "Ada")
    busy = httpx.Response(429, json={"type": "urn:mercato:problem:too-many-requests"}, headers={"Retry-After": "7"})
    shop.faults.append(once(lambda: busy, "POST", "/orders"))
    place(session)
    assert len(time.slept) == 1
    assert 7 <= time.slept[0] <= 8


def test_it_does_not_wait_longer_than_it_has_patience() -> None:
    shop, time = with_product(FakeShop()), FakeTime()
    session = shop.client(time).join("ada@example.com", "a password", "Ada")
    later = httpx.Response(429, json={"type": "urn:mercato:problem:too-many-codes"}, headers={"Retry-After": "2700"})
    shop.faults.append(once(lambda: later, "POST", "/orders"))
    with pytest.raises(Refused, match="too-many-codes"):
        place(session)
    assert not time.slept


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(409, json={"type": "urn:other:problem:request-in-flight"}),
        httpx.Response(409, json={"type": None}),
        httpx.Response(409, json=["no"]),
        httpx.Response(409, text="<html>no</html>"),
        httpx.Response(409),
    ],
)
def test_a_refusal_that_a_proxy_has_written_has_no_name_of_ours(answer: httpx.Response) -> None:
    shop, time = with_product(FakeShop()), FakeTime()
    session = shop.client(time).join("ada@example.com", "a password", "Ada")
    shop.faults.append(once(lambda: answer, "POST", "/orders"))
    with pytest.raises(Refused) as caught:
        place(session)
    assert (caught.value.status, caught.value.slug, time.slept) == (409, "", [])


def test_a_refusal_is_not_retried_and_keeps_its_words() -> None:
    shop = with_product(FakeShop())
    session = shop.client().join("ada@example.com", "a password", "Ada")
    shop.faults.append(
        lambda request: problem(409, "price-changed", changed=[1]) if request.url.path == "/api/orders" else None
    )
    with pytest.raises(Refused) as caught:
        place(session)
    assert (caught.value.status, caught.value.slug, caught.value.problem["changed"]) == (409, "price-changed", [1])
    assert shop.count("POST", "/orders") == 1


def test_what_may_not_be_repeated_is_sent_once() -> None:
    shop = FakeShop()
    session = shop.client().join("ada@example.com", "a password", "Ada")
    shop.faults.append(once(lost, "POST", "/products"))
    with pytest.raises(Unreachable, match="POST /api/products: the answer was lost"):
        session.post("/products", {"sku": "A"})
    assert shop.count("POST", "/products") == 1


def test_it_outlasts_a_request_that_died_and_keeps_its_key_for_half_a_minute() -> None:
    shop, time = with_product(FakeShop()), FakeTime()
    session = shop.client(time).join("ada@example.com", "a password", "Ada")
    shop.faults.append(lambda _: problem(409, "request-in-flight") if time.now < 30 else None)
    place(session)
    assert len(shop.orders) == 1


def test_it_gives_up_in_the_end() -> None:
    shop, time = with_product(FakeShop()), FakeTime()
    session = shop.client(time).join("ada@example.com", "a password", "Ada")
    shop.faults.append(lambda request: problem(503, "busy") if request.url.path == "/api/orders" else None)
    with pytest.raises(Refused, match="503 busy"):
        place(session)
    assert 90 <= time.now <= 100
    assert shop.orders == {}


def test_a_shop_that_does_not_answer_is_given_up_sooner() -> None:
    shop, time = with_product(FakeShop()), FakeTime()
    session = shop.client(time).join("ada@example.com", "a password", "Ada")
    shop.faults.append(lambda _: lost())
    with pytest.raises(Unreachable, match="POST /api/orders: the answer was lost"):
        place(session)
    assert len([request for request in shop.requests if request.url.path == "/api/orders"]) == 8
    assert time.now < 45


def test_a_registration_whose_answer_was_lost_ends_in_a_login() -> None:
    shop = FakeShop()

    def register_and_lose(request: httpx.Request) -> None:
        if request.url.path == "/api/users" and not shop.users:
            shop.users["ada@example.com"] = "a password"
            raise httpx.ReadTimeout("lost")

    shop.faults.append(register_and_lose)
    session = shop.client().join("ada@example.com", "a password", "Ada")
    assert shop.count("POST", "/users") == 2
    assert session.email == "ada@example.com"


def test_somebody_elses_account_is_not_ours() -> None:
    shop = FakeShop(users={"ada@example.com": "another password"})
    with pytest.raises(Refused, match="401"):
        shop.client().join("ada@example.com", "a password", "Ada")


def test_the_token_is_refreshed_before_it_ends() -> None:
    shop, time = with_product(FakeShop(lifetime=900)), FakeTime()
    session = shop.client(time).join("ada@example.com", "a password", "Ada")
    time.now += 850
    session.get("/inventory/lamp")
    assert shop.count("POST", "/users/token/refresh") == 1
    session.get("/inventory/lamp")
    assert shop.count("POST", "/users/token/refresh") == 1


def test_a_token_that_the_shop_refuses_is_renewed_and_the_request_repeated() -> None:
    shop = with_product(FakeShop())
    session = shop.client().join("ada@example.com", "a password", "Ada")
    shop.valid_tokens.clear()
    assert session.get("/inventory/lamp")["on_hand"] == 10
    assert (shop.count("POST", "/users/token/refresh"), shop.count("POST", "/users/login")) == (1, 2)


def test_a_wait_ends_at_its_deadline_with_what_was_there_last() -> None:
    time, seen = FakeTime(), iter(range(1000))
    with pytest.raises(TooLate, match="a miracle: not after 10 s") as caught:
        poll(lambda: next(seen), lambda _: False, what="a miracle", within=10, clock=time.clock)
    assert time.now == pytest.approx(10)
    assert caught.value.last == len(time.slept)


def test_a_wait_ends_at_once_where_all_is_well() -> None:
    time = FakeTime()
    assert poll(lambda: 7, lambda found: found == 7, what="seven", within=0, clock=time.clock) == 7
    assert time.slept == []
