"""The stand-in of EasyPost: its parcels go their way, its reports come until they are taken, and its process ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.cloud import Cloud
from infra.local.easypost import process
from infra.local.easypost.api import FakeEasyPost, Wish, running, signature
from infra.local.easypost.courier import Courier, post
from infra.local.easypost.process import LocalEasyPost
from infra.local.processes import free_port, is_free

HOOK = {"url": "http://shop.test/webhook", "webhook_secret": "the secret"}
ARRIVES = ["pre_transit", "in_transit", "out_for_delivery", "delivered"]


class Shop:
    """Takes the reports of a courier, unless `is_closed`. `told` has the status of each one."""

    def __init__(self) -> None:
        self.is_closed = False
        self.told: list[str] = []

    def post(self, url: str, body: bytes, signed: str) -> bool:
        assert (url, signed) == (HOOK["url"], signature(body, HOOK["webhook_secret"]))
        if not self.is_closed:
            self.told.append(json.loads(body)["result"]["status"])
        return not self.is_closed


def ask(easypost: FakeEasyPost, method: str, path: str, body: Any = None) -> httpx.Response:
    return httpx.request(method, easypost.url + path, json=body, auth=(easypost.key, ""))


def create(easypost: FakeEasyPost, wish: str | None = None) -> httpx.Response:
    address = {"street1": "1 Quay", "street2": wish, "country": "GB"}
    wanted = {"reference": "one", "to_address": address, "from_address": {"id": "adr_1"}}
    return ask(easypost, "POST", "/v2/shipments", {"shipment": wanted})


def buy(easypost: FakeEasyPost, wish: str | None = None) -> str:
    made = create(easypost, wish).json()
    path = f"/v2/shipments/{made['id']}/buy"
    bought = ask(easypost, "POST", path, {"rate": {"id": made["rates"][0]["id"]}})
    assert bought.status_code == 200
    return str(made["id"])


@pytest.fixture
def easypost() -> Iterator[FakeEasyPost]:
    with running() as found:
        assert ask(found, "POST", "/v2/webhooks", {"webhook": HOOK}).status_code == 201
        yield found


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def courier(easypost: FakeEasyPost, shop: Shop) -> Courier:
    return Courier(easypost, shop.post)


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (None, ARRIVES),
        ("2nd floor", ARRIVES),
        (Wish.LOST, ["pre_transit", "in_transit", "failure"]),
        (" Parcel_Returned ", ["pre_transit", "in_transit", "return_to_sender"]),
        (Wish.STAYS, ["pre_transit"]),
    ],
)
def test_the_second_line_of_the_address_says_where_a_parcel_goes(
    easypost: FakeEasyPost, courier: Courier, shop: Shop, wish: str | None, told: list[str]
) -> None:
    buy(easypost, wish)
    for _ in range(6):
        courier.step()
    assert shop.told == told


def test_a_parcel_that_is_told_twice_is_told_late_too(easypost: FakeEasyPost, courier: Courier, shop: Shop) -> None:
    buy(easypost, Wish.TOLD_TWICE)
    courier.step()
    courier.step()
    assert shop.told[3:] == ["in_transit", "pre_transit", "in_transit"]


def test_a_report_comes_again_until_the_shop_takes_it_and_before_the_next(
    easypost: FakeEasyPost, courier: Courier, shop: Shop
) -> None:
    buy(easypost)
    shop.is_closed = True
    courier.step()
    courier.step()
    shop.is_closed = False
    courier.step()
    assert shop.told == ARRIVES[:3]


def test_a_report_that_no_shop_takes_is_dropped_in_the_end(
    easypost: FakeEasyPost, courier: Courier, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    buy(easypost, Wish.STAYS)
    shop.is_closed = True
    for _ in range(20):
        courier.step()
    shop.is_closed = False
    courier.step()
    assert shop.told == []
    assert "no webhook takes the report" in caplog.text


def test_a_void_label_is_not_scanned_any_more(easypost: FakeEasyPost, courier: Courier, shop: Shop) -> None:
    parcel_id = buy(easypost)
    courier.step()
    assert ask(easypost, "POST", f"/v2/shipments/{parcel_id}/refund").json()["refund_status"] == "submitted"
    courier.step()
    assert shop.told == ["pre_transit"]


def test_a_carrier_that_rejects_the_refund_brings_the_parcel(
    easypost: FakeEasyPost, courier: Courier, shop: Shop
) -> None:
    parcel_id = buy(easypost, Wish.VOID_REJECTED)
    assert ask(easypost, "POST", f"/v2/shipments/{parcel_id}/refund").json()["refund_status"] == "rejected"
    for _ in range(4):
        courier.step()
    assert shop.told == ARRIVES


@pytest.mark.parametrize(("wish", "status"), [(Wish.LABEL_TIMEOUT, 0), (Wish.LABEL_ERROR, 500)])
def test_a_label_may_be_bought_though_its_answer_is_lost(easypost: FakeEasyPost, wish: Wish, status: int) -> None:
    made = create(easypost, wish).json()
    path, rate = f"/v2/shipments/{made['id']}", {"rate": {"id": made["rates"][0]["id"]}}
    try:
        answered = ask(easypost, "POST", f"{path}/buy", rate).status_code
    except httpx.RemoteProtocolError:
        answered = 0
    assert answered == status
    assert ask(easypost, "GET", path).json()["postage_label"] is not None
    assert ask(easypost, "POST", f"{path}/buy", rate).json()["error"]["code"] == "SHIPMENT.POSTAGE.EXISTS"


def test_an_address_may_be_refused(easypost: FakeEasyPost) -> None:
    assert create(easypost, Wish.LABEL_REFUSED).status_code == 422


def test_webhooks_are_listed_without_their_secrets(easypost: FakeEasyPost) -> None:
    (found,) = ask(easypost, "GET", "/v2/webhooks").json()["webhooks"]
    assert (found["url"], found["disabled_at"]) == (HOOK["url"], None)
    assert "webhook_secret" not in found


def test_no_answer_and_a_refusal_are_no_taken_reports(easypost: FakeEasyPost) -> None:
    assert post(f"{easypost.url}/v2/webhooks", b"{}", "unsigned") is False
    assert post(f"http://127.0.0.1:{free_port()}/", b"{}", "unsigned") is False


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEasyPost]:
    monkeypatch.setattr(process, "HOME", tmp_path)
    found = LocalEasyPost(free_port())
    found.start(Cloud(4566))
    yield found
    found.stop()


def test_its_process_is_deaf_when_asked_and_leaves_nothing_behind(local: LocalEasyPost) -> None:
    local.set_deaf(True)
    with pytest.raises(httpx.RemoteProtocolError):
        local.shipments()
    local.set_deaf(False)
    assert local.shipments() == []
    assert httpx.get(f"{local.url}/v2/shipments").status_code == 401
    local.tell(HOOK["url"], HOOK["webhook_secret"])
    local.stop()
    assert not local.child.is_running()
    assert is_free(local.port)
