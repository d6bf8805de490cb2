"""Runs after all other tests of this folder: no log holds what browsers typed, were sent, or keep in their cookies."""

from __future__ import annotations

import pytest

from infra.local.up import LocalShop
from infra.operator.target import State
from tests.e2e.canaries import Canaries, logs_of, plant_secrets_of_the_shop
from tests.e2e.web.conftest import OpenDesk

pytestmark = pytest.mark.last


def test_no_log_of_the_browsers_run_holds_a_secret(
    desk: OpenDesk, running: LocalShop, shop_state: State, canaries: Canaries, front_log: list[str]
) -> None:
    for account, at in ((shop_state.customer, "/login"), (shop_state.admin, "/console/login")):
        visitor = desk()
        visitor.log_in(account, at)
        visitor.plant_cookies(canaries)
    cookies = {what for what in canaries.texts.values() if what.startswith("cookie")}
    plant_secrets_of_the_shop(canaries, shop_state)

    logs = logs_of(running, shop_state, front_log)

    assert {name: found for name, log in logs.items() if (found := canaries.found_in(log))} == {}
    # The test would prove nothing without logs, or without canaries.
    assert len(cookies) >= 4
    assert any("console-pages" in name and log for name, log in logs.items())
    assert any("storefront-pages" in name and log for name, log in logs.items())
