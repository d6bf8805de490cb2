"""The drawing of the mesh: callers on the left, their peers on the right."""

from __future__ import annotations

from typing import Any

from console.mesh import Drawing, draw


def edge(caller: str, peer: str, **changes: Any) -> dict[str, Any]:
    return {"caller": caller, "peer": peer, "version": "live", "errors": 0, "refused": 0} | changes


def drawn(*edges: dict[str, Any], unused: tuple[tuple[str, str], ...] = ()) -> Drawing:
    return draw({"edges": list(edges), "unused": [{"caller": caller, "peer": peer} for caller, peer in unused]})


def test_who_calls_is_on_the_left_and_who_is_called_on_the_right() -> None:
    found = drawn(edge("orders", "users"), edge("gateway", "orders"))
    boxes = {(box.name, box.x > 300) for box in found.boxes}
    assert boxes == {("orders", False), ("gateway", False), ("users", True), ("orders", True)}


def test_a_version_beside_the_live_one_has_a_box_of_its_own() -> None:
    found = drawn(edge("orders", "products"), edge("orders", "products", version="canary", errors=3))
    tones = {box.name: box.tone for box in found.boxes}
    assert tones == {"orders": "bad", "products": "ok", "products canary": "bad"}
    assert [line.kind for line in found.lines] == ["way", "bad-way"]


def test_the_bad_line_is_drawn_last_and_an_unused_one_first() -> None:
    edges = (edge("orders", "products", refused=1), edge("orders", "users"))
    found = drawn(*edges, unused=(("carts", "products"),))
    assert [line.kind for line in found.lines] == ["no-way", "way", "bad-way"]
    assert {box.name: box.shape for box in found.boxes if box.x < 300} == {"carts": "○", "orders": "▲"}


def test_two_edges_of_one_pair_are_one_line_and_its_trouble_stays() -> None:
    found = drawn(edge("orders", "products", version="", errors=1), edge("orders", "products"))
    assert [line.kind for line in found.lines] == ["bad-way"]


def test_a_refused_call_of_no_service_has_no_line_and_nothing_is_no_drawing() -> None:
    assert drawn(edge("orders", "", version="", refused=1)).lines == []
    assert drawn().boxes == []


def test_all_boxes_are_within_the_drawing() -> None:
    found = drawn(*(edge(f"caller-{n}", "products") for n in range(9)), edge("caller-1", "users"))
    assert all(0 <= box.y <= found.height - found.box_height for box in found.boxes)
    assert len({(box.x, box.y) for box in found.boxes}) == len(found.boxes)
