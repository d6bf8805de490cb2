from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest

from infra.operator.target import Account, NoShop, State, load, require_sandbox, save

SHOP = State(
    base_url="http://localhost:3000",
    endpoint="http://localhost:4566",
    functions_endpoint="http://localhost:4566",
    region="us-east-1",
    stack="mercato",
    outputs={"BusName": "mercato", "ApiId": "abc"},
    tables={"orders": "mercato-OrdersTable"},
    queues_prefix="mercato-",
    admin=Account("admin@mercato.example", "secret of the admin"),
    customer=Account("customer@mercato.example", "secret of the customer"),
)


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    path = tmp_path / "home" / "state.json"
    save(SHOP, path)
    assert load(path) == SHOP


def test_only_its_owner_can_read_the_file_and_no_draft_is_left(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save(SHOP, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["state.json"]


def test_without_a_shop_the_command_ends_with_status_2_and_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoShop, match="no shop is running: start one with make up") as caught:
        load(tmp_path / "state.json")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"admin": 1, "customer": 2}', '{"base_url": "x"'])
def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(NoShop, match="cannot be read"):
        load(path)


def test_what_pays_with_the_sandboxs_cards_refuses_a_shop_that_takes_stripes() -> None:
    require_sandbox(SHOP, "the demo")
    with pytest.raises(click.ClickException, match="the demo pays with the sandbox's cards"):
        require_sandbox(replace(SHOP, stripe_api="http://localhost:8420"), "the demo")


@pytest.mark.parametrize("carrier", ["manual", "easypost"])
def test_what_waits_for_the_sandboxs_parcels_refuses_a_shop_with_another_carrier(carrier: str) -> None:
    with pytest.raises(click.ClickException, match=f"the demo waits for the sandbox's parcels.*{carrier}"):
        require_sandbox(replace(SHOP, carrier=carrier), "the demo")
