"""An operator uses the console in a real browser."""

from __future__ import annotations

import json
import re
import uuid

import pytest
from playwright.sync_api import expect

from infra.demo.stage import Stage
from infra.operator.client import Session, Shop
from infra.operator.target import State, client
from pages.view import short
from tests.e2e.web.conftest import PATIENCE, OpenDesk
from tests.kit.given import published

LONG = 3 * PATIENCE


@pytest.fixture(scope="module")
def stage(shop: Shop, admin: Session, shop_state: State) -> Stage:
    return Stage(shop, admin, shop_state.endpoint, 120)


def test_a_parked_saga_is_found_understood_and_brought_home(desk: OpenDesk, stage: Stage, shop_state: State) -> None:
    petra = stage.new_customer("Petra")
    order, _ = stage.park(petra, "Console vase", 2500)
    # The page lists what the API lists, and does not look again by itself.
    listed = stage.wait_for(lambda: _parked_orders(stage.admin), lambda found: order in found)
    assert order in listed

    console = desk()
    console.log_in(shop_state.admin, at="/console/login")
    page = console.page
    page.get_by_role("link", name="Sagas", exact=True).click()
    page.get_by_role("link", name=short(order)).click()
    expect(page.get_by_role("heading", name="It waits for you in RefundPayment")).to_be_visible()
    expect(page.locator(".box-warn")).to_contain_text("RefundPayment")
    page.get_by_label("Why, for the audit log").fill("refunded by bank transfer, ref 4711")
    page.get_by_role("button", name="Skip it").click()
    expect(page.locator("main")).to_contain_text("skip RefundPayment by")
    petra.wait_for_order(order, lambda seen: seen["status"] == "cancelled", what="cancelled", within=120)

    page.goto(f"{console.site}/console/orders/{order}?v=1")
    expect(page.get_by_label("As of fact 1 of")).to_have_value("1")
    page.get_by_label("As of fact 1 of").press("ArrowRight")
    page.wait_for_url("**v=2")
    expect(page.locator(".changed").first).to_be_visible()


def _parked_orders(admin: Session) -> list[str]:
    found = admin.get("/ops/sagas", status="parked", limit=100)["items"]
    return [one["order_id"] for one in found]


def test_a_dead_letter_is_looked_at_tried_dry_and_sent_back(desk: OpenDesk, shop_state: State) -> None:
    user_id = str(uuid.uuid4())
    closed = published("user.closed", user_id, {"user_id": user_id}, id=str(uuid.uuid4()), source="mercato.users")
    sqs = client(shop_state, "sqs")
    queue = f"{shop_state.queues_prefix}carts-dlq"
    attributes = {"reason": "exhausted", "detail": "the table <b>was away</b>", "message_id": user_id}
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"],
        MessageBody=json.dumps({"detail": closed}),
        MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    )
    console = desk()
    console.log_in(shop_state.admin, at="/console/login")
    page = console.open("/console/letters")
    page.get_by_role("link", name=queue).click()
    letter = page.locator("main li.card")
    expect(letter).to_contain_text("the table <b>was away</b>")
    letter.get_by_text("The letter").click()
    expect(letter.locator("pre")).to_contain_text(user_id)

    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("status")).to_contain_text("1 would go back.")
    page.get_by_role("button", name="Send 1 back").click()
    expect(page.locator("#trouble")).to_contain_text("Please say why they can be handled now.")
    page.get_by_label("Why they can be handled now").fill("the table is back")
    page.get_by_role("button", name="back").last.click()
    expect(page.locator("main")).to_contain_text("1 letter: the table is back")
    expect(page.locator("main")).to_contain_text("Nothing waits here.")
    console.said.clear()  # Chromium notes the 422


def test_two_operators_set_one_circuit_and_both_are_in_its_history(desk: OpenDesk, shop_state: State) -> None:
    first, second = desk(), desk()
    for console in (first, second):
        console.log_in(shop_state.admin, at="/console/login")
        console.open("/console/circuits/peer-shipping")
    for console, action, why in (
        (first, "Open it", "the carrier is down"),
        (second, "Release it", "the carrier is back"),
    ):
        console.page.get_by_label(action).check()
        console.page.get_by_label("Why, for the audit log").fill(why)
        console.page.get_by_role("button", name="Set it").click()
        expect(console.page.locator(".story").first).to_contain_text(why)
    expect(second.page.locator(".story").first).to_contain_text("the carrier is down")


def test_an_edit_that_comes_too_late_shows_both_sides(desk: OpenDesk, stage: Stage, shop_state: State) -> None:
    product = stage.new_product("Contested vase", 1000, stock=1).product_id
    first, second = desk(), desk()
    for console in (first, second):
        console.log_in(shop_state.admin, at="/console/login")
        console.open(f"/console/catalogue/{product}")
    first.page.get_by_label("Price", exact=True).fill("12.00")
    first.page.get_by_role("button", name="Change it").click()
    expect(first.page.get_by_label("Price", exact=True)).to_have_value("12.00")

    second.page.get_by_label("Description").fill("Blown by mouth")
    second.page.get_by_role("button", name="Change it").click()
    expect(second.page.locator("main")).to_contain_text("In the catalogue now: 12.00")
    expect(second.page.get_by_label("Description")).to_have_value("Blown by mouth")
    second.said.clear()  # Chromium notes the 409


def test_an_import_names_the_rows_that_it_refuses(desk: OpenDesk, shop_state: State) -> None:
    console = desk()
    console.log_in(shop_state.admin, at="/console/login")
    page = console.open("/console/imports")
    rows = [
        "sku,name,price,currency,description,category",
        "WEB-1,Good row,3.00,GBP,,desk",
        "WEB-2,Bad row,free,GBP,,desk",
    ]
    page.get_by_label("Rows, as comma separated values").fill("\n".join(rows))
    page.get_by_role("button", name="Import").click()
    expect(page.locator("main")).to_contain_text("1 refused")
    expect(page.locator("tbody tr")).to_contain_text(["WEB-2"])
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="These rows as a file").click()
    lines = downloaded.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines == [rows[0], rows[2]]


def test_low_stock_is_found_its_threshold_set_and_its_ledger_proven(
    desk: OpenDesk, stage: Stage, shop_state: State
) -> None:
    product = stage.new_product("Scarce vase", 1000, stock=4).product_id
    console = desk()
    console.log_in(shop_state.admin, at="/console/login")
    page = console.open("/console/stock")
    page.get_by_label("Name, item number or id").fill(product)
    page.get_by_role("button", name="Find").click()
    row = page.locator("tbody tr")
    expect(row).to_contain_text("low")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", name="Scarce vase")).to_contain_text("low")
    page.get_by_label("Low at or below").fill("3")
    page.get_by_role("button", name="Set").click()
    expect(page.get_by_role("heading", name="Scarce vase")).to_contain_text("enough")
    page.get_by_label("More, or fewer with a minus").fill("-2")
    page.get_by_label("Why, for the ledger").fill("two were broken")
    page.get_by_role("button", name="Adjust").click()
    newest = page.locator("tbody tr").first
    expect(newest).to_contain_text("two were broken")
    expect(newest.locator("td.number")).to_have_text(["-2", "2"])
    expect(page.locator("main")).to_contain_text("2 entries sum to 2.")
    assert console.violations() == []


def test_a_table_is_changed_as_text_and_says_what_is_wrong_at_its_line(
    desk: OpenDesk, admin: Session, shop_state: State
) -> None:
    before = admin.get("/shipments/rates")
    console = desk()
    console.log_in(shop_state.admin, at="/console/login")
    page = console.open("/console/rates")
    field, send = (
        page.get_by_label("Rows, as comma separated values"),
        page.get_by_role("button", name="Put it in force"),
    )
    typed = field.input_value()
    field.fill(typed.replace("World,*,", "World,FR,", 1))
    send.click()
    expect(page.locator("#trouble")).to_contain_text("FR is in zone Europe already")
    line = next(number for number, text in enumerate(typed.splitlines(), 1) if text.startswith("World,*,"))
    expect(page.locator(f"#line-{line}")).to_contain_text("World,FR,")
    assert console.violations() == []
    console.said.clear()  # Chromium notes the 422

    try:
        field.fill(typed.replace(",3.95,", ",4.05,", 1))
        send.click()
        expect(page.get_by_role("status")).to_contain_text("The table is changed.")
        expect(page.locator("tbody").first).to_contain_text("4.05")
        expect(page.locator(".difference ins")).to_contain_text("4.05")
        page.get_by_role("link", name=f"Version {before['version']}", exact=True).click()
        expect(page.locator("tbody").first).to_contain_text("3.95")
    finally:
        now = admin.get("/shipments/rates")["version"]
        admin.put("/shipments/rates", {name: before[name] for name in ("currency", "zones")} | {"version": now})


def test_of_two_operators_who_change_the_taxes_the_second_sees_both_differences(
    desk: OpenDesk, admin: Session, shop_state: State
) -> None:
    before = admin.get("/checkouts/taxes")
    first, second = desk(), desk()
    for console in (first, second):
        console.log_in(shop_state.admin, at="/console/login")
        console.open("/console/taxes")
    try:
        for console, line in ((first, "FR,standard,20,2014-01-01"), (second, "FR,reduced,5.5,2014-01-01")):
            field = console.page.get_by_label("Rows, as comma separated values")
            field.fill(field.input_value() + line)
            console.page.get_by_role("button", name="Put it in force").click()
        expect(second.page.get_by_role("heading", name="Another operator has changed it meanwhile")).to_be_visible()
        differences = second.page.locator(".difference")
        expect(differences.nth(0).locator("ins")).to_have_text("+ FR,standard,20,2014-01-01")
        expect(differences.nth(1).locator("ins")).to_have_text("+ FR,reduced,5.5,2014-01-01")
        assert second.violations() == []
        second.said.clear()  # Chromium notes the 409
        second.page.get_by_role("button", name="Put it in force").click()
        expect(second.page.get_by_role("status")).to_contain_text("The table is changed.")
    finally:
        now = admin.get("/checkouts/taxes")["version"]
        admin.put("/checkouts/taxes", {"version": now, "rates": before["rates"]})


def test_the_numbering_is_changed_without_scripts_and_refusal_and_conflict_are_shown(
    desk: OpenDesk, admin: Session, shop_state: State
) -> None:
    before = admin.get("/documents/numbering")
    console = desk(java_script_enabled=False)
    console.log_in(shop_state.admin, at="/console/login")
    page = console.open("/console/seller")
    prefix, send = page.get_by_label("Prefix of invoices"), page.get_by_role("button", name="Change the numbers")
    try:
        prefix.fill("CRN")
        send.click()
        expect(page.locator("#invoice_prefix-error")).to_have_text("This belongs to credit notes, now or before.")
        expect(prefix).to_have_value("CRN")

        wanted = before["numbering"] | {"counting": "continuous"}
        admin.put("/documents/numbering", {"version": before["version"], "numbering": wanted})
        prefix.fill("RE")
        send.click()
        expect(page.locator("body")).to_contain_text("Another request has changed how documents are numbered.")
        expect(prefix).to_have_value("RE")
        console.said.clear()  # Chromium notes the 422 and the 409

        page.get_by_label("Counting").select_option("continuous")
        send.click()
        expect(page.get_by_role("status")).to_contain_text("Documents that are issued from now on are numbered")
        expect(page.locator("main")).to_contain_text("in the series RE and CRN,")
    finally:
        now = admin.get("/documents/numbering")["version"]
        admin.put("/documents/numbering", {"version": now, "numbering": before["numbering"]})


def test_a_return_is_approved_received_and_refunded_and_a_conflict_is_shown(
    desk: OpenDesk, stage: Stage, shop_state: State
) -> None:
    bowl, rita = stage.new_product("Console bowl", 1500, stock=5), stage.new_customer("Rita")
    order = stage.order(rita, bowl, 3)["order_id"]
    rita.wait_for_order(order, lambda seen: seen["status"] == "delivered", what="delivered", within=120)
    body = {"lines": [{"product_id": bowl.product_id, "quantity": 2}], "reason": "damaged"}
    made = rita.post(f"/orders/{order}/returns", body, key=stage.new_key())["return_id"]

    console = desk()
    console.log_in(shop_state.admin, at="/console/login")
    page = console.page
    page.get_by_role("link", name=re.compile("returns? to approve or refuse")).click()
    page.get_by_role("link", name=short(made)).click()
    other = page.context.new_page()
    other.goto(page.url)
    assert console.violations() == []
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("main")).to_contain_text("The customer is told to send the goods.")
    assert console.violations() == []

    other.get_by_label("Why, for the customer to read").fill("It was worn.")
    other.get_by_role("button", name="Refuse").click()
    expect(other.locator("#trouble")).to_contain_text("The return is approved.")

    page.get_by_role("button", name="Receive these").click()
    expect(page.locator("#trouble")).to_contain_text("Please say what came.")
    page.get_by_label("Units of line 1 to be sold again").fill("1")
    page.get_by_label("Units of line 1 to write off").fill("1")
    page.get_by_role("button", name="Receive these").click()
    expect(page.locator("main")).to_contain_text("Received. The money goes back")
    rita.wait_for_order(order, lambda seen: seen["refunded"]["amount"] == 3000, what="refunded", within=120)
    page.reload()
    expect(page.locator("main")).to_contain_text("£30.00 went back.")
    page.goto(f"{console.site}/console/stock/{bowl.product_id}")
    expect(page.locator("tbody tr").first).to_contain_text("write off")
    expect(page.locator("tbody tr").first.locator("td.number")).to_have_text(["-1", "3"])
    console.said.clear()  # Chromium notes the 422


def test_the_console_has_no_barrier_that_axe_finds(
    desk: OpenDesk, shop_state: State, stage: Stage, customer: Session
) -> None:
    vase = stage.new_product("Vase behind a circuit", 1000, stock=1)
    customer.put(f"/carts/mine/items/{vase.product_id}", {"quantity": 1})  # carts asks products: the circuit is known
    found: dict[str, list[str]] = {}
    for options in ({}, {"color_scheme": "dark", "viewport": {"width": 390, "height": 800}}):
        console = desk(**options)
        console.log_in(shop_state.admin, at="/console/login")
        links = console.page.locator("nav a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
        for path in [
            "/console",
            *dict.fromkeys(links),
            "/console/circuits/peer-products",
            "/console/catalogue/new",
            "/console/imports",
            "/console/parcels",
            "/console/taxes",
            "/console/texts/order_shipped/de",
            "/console/texts/order_shipped/de?version=0",
        ]:
            console.open(path)
            found[f"{path} {options}"] = console.violations()
    assert {name: one for name, one in found.items() if one} == {}
