"""The console's page of the mesh: what it shows of the graph, and that it says so where there is no mesh."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.pages.conftest import Ask
from tests.unit.pages.shop_api import ShopApi


def edge(caller: str, peer: str, **changes: Any) -> dict[str, Any]:
    about = {"version": "live", "calls": 12, "errors": 0, "refused": 0, "p50_ms": 8, "p95_ms": 31}
    return {"caller": caller, "peer": peer} | about | changes


GRAPH = {
    "is_on": True,
    "begins_at": "2026-11-29T11:00:00.000Z",
    "ends_at": "2026-11-29T12:00:00.000Z",
    "is_partial": False,
    "edges": [
        edge("carts", "products"),
        edge("orders", "products", calls=190),
        edge("orders", "products", version="canary", calls=21, errors=5),
        edge("orders", "users"),
        edge("gateway", "", version="", calls=1, refused=1, p50_ms=None, p95_ms=None),
    ],
    "unused": [{"caller": "checkout", "peer": "shipping"}, {"caller": "storefront", "peer": "checkout"}],
}


def show(api: ShopApi, desk: Ask, path: str = "/console/mesh", **changes: Any) -> str:
    api.answers["GET /api/ops/mesh/graph"] = (200, GRAPH | changes)
    answered = desk("GET", path, as_user=True)
    assert answered.status == 200
    return answered.text


def test_edges_are_drawn_and_listed_with_calls_errors_and_latency(api: ShopApi, desk: Ask) -> None:
    page = show(api, desk)
    assert [one[2] for one in api.asked] == ["/api/ops/mesh/graph?minutes=60"]
    assert page.count('class="bad-way"') == 1
    assert page.count('class="no-way"') == 2
    assert "products canary</text>" in page
    assert '<span class="quiet">canary</span></td><td class="number">21</td>' in page
    assert "<td>no service</td>" in page
    assert "checkout → shipping" in page
    assert "there may be more" not in page


def test_where_the_mesh_is_off_the_page_says_so_and_how_to_switch_it_on(api: ShopApi, desk: Ask) -> None:
    page = show(api, desk, is_on=False, edges=[], unused=[])
    assert "The mesh is off" in page
    assert "Mesh=on" in page
    assert "<svg" not in page


def test_an_hour_without_calls_and_a_part_of_many_calls_are_told(api: ShopApi, desk: Ask) -> None:
    assert "No call went through the mesh in this time." in show(api, desk, edges=[])
    assert "there may be more" in show(api, desk, is_partial=True)


@pytest.mark.parametrize(("given", "asked"), [("15", "15"), ("1440", "1440"), ("7", "60"), ("x", "60")])
def test_the_time_is_one_of_three(api: ShopApi, desk: Ask, given: str, asked: str) -> None:
    show(api, desk, f"/console/mesh?minutes={given}")
    assert api.asked[-1][2] == f"/api/ops/mesh/graph?minutes={asked}"


def test_a_graph_that_cannot_be_read_is_told(api: ShopApi, desk: Ask) -> None:
    api.refuse("GET /api/ops/mesh/graph", 503, "unavailable", "The log cannot be read.")
    assert desk("GET", "/console/mesh", as_user=True).status == 503
