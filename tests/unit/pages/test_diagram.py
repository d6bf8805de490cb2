"""The saga as a U-turn, drawn from the order saga's own definition."""

from __future__ import annotations

import json
from typing import Any

from console.diagram import Drawing, u_turn
from ops.sagas.views import MachineView
from tests.kit.template import ROOT

DEFINITION = json.loads((ROOT / "functions/orders/order_saga.asl.json").read_text(encoding="utf-8"))


def drawn(*taken: str, parked: str | None = None, **outcomes: str) -> Drawing:
    steps = [{"state": name, "kind": "Task", "outcome": outcomes.get(name, "done"), "tries": 1} for name in taken]
    machine: dict[str, Any] = MachineView.of(DEFINITION, []).model_dump(mode="json")
    return u_turn({"machine": machine, "steps": steps, "parked_step": parked})


def columns(drawing: Drawing) -> tuple[list[str], list[str]]:
    """From top to bottom: the steps, and their undo."""
    left = min(box.x for box in drawing.boxes)
    boxes = sorted(drawing.boxes, key=lambda box: box.y)
    return [box.name for box in boxes if box.x == left], [box.name for box in boxes if box.x != left]


def test_what_is_done_goes_down_and_what_undoes_it_goes_up() -> None:
    plain, plain_undone = columns(drawn())
    done, undone = columns(drawn("ClaimCoupon"))

    assert plain == ["ReserveInventory", "AuthorizePayment", "KeepReservation", "ConfirmOrder", "CapturePayment"]
    assert "ReleaseCoupon" not in plain_undone
    assert done == [
        "ClaimCoupon",
        "ReserveInventory",
        "AuthorizePayment",
        "KeepReservation",
        "KeepCoupon",
        "ConfirmOrder",
        "CapturePayment",
    ]
    assert undone[:3] == ["CancelOrder", "ReleaseCoupon", "ReleaseInventory"]
    assert set(undone[3:]) == {"VoidPayment", "RefundPayment", "StopShipment"}
    assert undone.index("RefundPayment") < undone.index("StopShipment")


def test_an_order_that_waits_for_its_buyer_goes_down_another_way() -> None:
    drawing = drawn("ReserveInventory", "AttemptPayment", "AskBuyer", "AwaitBuyer", AwaitBuyer="running")

    done, undone = columns(drawing)
    asked = ["AttemptPayment", "AskBuyer", "AwaitBuyer"]
    assert done == ["ReserveInventory", *asked, "KeepReservation", "ConfirmOrder", "CapturePayment"]
    assert set(undone) == {"CancelOrder", "ReleaseInventory", "VoidPayment", "RefundPayment", "StopShipment"}
    assert next(box.tone for box in drawing.boxes if box.name == "AwaitBuyer") == "info"


def test_the_way_that_was_taken_is_marked_and_numbered() -> None:
    drawing = drawn("ReserveInventory", "AuthorizePayment", "ReleaseInventory", AuthorizePayment="caught")

    numbers = {box.name: box.number for box in drawing.boxes if box.number}
    assert numbers == {"ReserveInventory": 1, "AuthorizePayment": 2, "ReleaseInventory": 3}
    tones = {box.name: box.tone for box in drawing.boxes}
    assert (tones["ReserveInventory"], tones["AuthorizePayment"], tones["CapturePayment"]) == ("ok", "bad", "idle")
    assert sum(line.is_taken for line in drawing.lines) == 2


def test_where_it_waits_is_seen() -> None:
    tones = {box.name: (box.tone, box.shape) for box in drawn("ReserveInventory", parked="RefundPayment").boxes}
    assert tones["RefundPayment"] == ("warn", "■")


def test_nothing_is_drawn_over_another_or_out_of_the_frame() -> None:
    drawing = drawn()
    places = [(box.x, box.y) for box in drawing.boxes]
    assert len(set(places)) == len(places)
    assert all(x >= 0 and x + box.width <= drawing.width for box, (x, _) in zip(drawing.boxes, places, strict=True))
    assert all(y >= 0 and y + 44 <= drawing.height for _, y in places)


def test_a_machine_that_is_not_known_draws_nothing() -> None:
    drawing = u_turn({"machine": {"states": [], "edges": []}, "steps": [], "parked_step": None})
    assert (drawing.boxes, drawing.lines) == ([], [])
