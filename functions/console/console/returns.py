"""Returns that need staff: to be approved or refused, and to be received, each with a page of its own."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from console.pages import pages
from pages import Form, InvalidForm, NoSuchPage, Page, Redirect, Visit
from pages.returns import OPEN, names_of, typed_of
from pages.visitor import next_page, path

_NOTICES = {
    "opened": "The return is open: receive its goods here once they come.",
    "approved": "The customer is told to send the goods.",
    "refused": "The customer is told why.",
    "cancelled": "The return is cancelled.",
    "refunded": "Received. Nothing was left to refund for it.",
    "received": "Received. The money goes back, and the stock has what can be sold.",
}


class Deed(Form):
    """`key` is the Idempotency-Key: a form that is sent twice takes effect once."""

    key: Annotated[str, Field(min_length=8, max_length=64)]


class Refusal(Deed):
    refusal: Annotated[str, Field(min_length=3, max_length=300)]


class Receipt(Deed):
    """`product`, `restock` and `write_off` are parallel: one of each for every line."""

    product: list[str]
    restock: list[Annotated[int, Field(ge=0, le=100_000)]]
    write_off: list[Annotated[int, Field(ge=0, le=100_000)]]

    def lines(self) -> list[dict[str, Any]]:
        """The lines with units, as the API takes them. Raises InvalidForm where there is none."""
        if not len(self.product) == len(self.restock) == len(self.write_off):
            raise InvalidForm({"": "The form is not whole. Please fill it in again."})
        found = [
            {"product_id": product, "restock": restock, "write_off": write_off}
            for product, restock, write_off in zip(self.product, self.restock, self.write_off, strict=True)
            if restock or write_off
        ]
        if not found:
            raise InvalidForm({"": "Please say what came. Cancel the return if nothing comes."})
        return found


@pages.get("/console/returns")
def show_returns(visit: Visit) -> Page:
    state = "approved" if visit.request.query.get("state") == "approved" else "requested"
    cursor = visit.request.query.get("cursor", "")
    found = visit.visitor.get(path("ops", "orders", "returns", state=state, limit=50, cursor=cursor))
    following = next_page("/console/returns", found["next_cursor"], state=state)
    return Page("returns.html", {"returns": found["items"], "state": state, "next": following})


@pages.get("/console/returns/{order_id}/{return_id}")
def show_return(visit: Visit, order_id: str, return_id: str) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    order: Any = visit.visitor.get(path("orders", order_id))
    made = next((one for one in order["returns"] if one["return_id"] == return_id), None)
    if made is None:
        raise NoSuchPage("The order has no such return.")
    came = {line["product_id"]: line for line in made["received"]}
    return Page(
        "return.html",
        {
            "order": order,
            "made": made,
            "came": came,
            "names": names_of(order),
            "is_open": made["status"] in OPEN,
            "restock": typed_of(visit, "restock"),
            "write_off": typed_of(visit, "write_off"),
        },
    )


@pages.post("/console/returns/{order_id}/{return_id}/approve", form=Deed, again=show_return)
def approve_return(visit: Visit, order_id: str, return_id: str, form: Deed) -> Redirect:
    return _change(visit, (order_id, return_id), "approve", form.key)


@pages.post("/console/returns/{order_id}/{return_id}/refuse", form=Refusal, again=show_return)
def refuse_return(visit: Visit, order_id: str, return_id: str, form: Refusal) -> Redirect:
    return _change(visit, (order_id, return_id), "refuse", form.key, {"refusal": form.refusal})


@pages.post("/console/returns/{order_id}/{return_id}/cancel", form=Deed, again=show_return)
def cancel_return(visit: Visit, order_id: str, return_id: str, form: Deed) -> Redirect:
    return _change(visit, (order_id, return_id), "cancel", form.key)


@pages.post("/console/returns/{order_id}/{return_id}/receive", form=Receipt, again=show_return)
def receive_return(visit: Visit, order_id: str, return_id: str, form: Receipt) -> Redirect:
    return _change(visit, (order_id, return_id), "receive", form.key, {"lines": form.lines()})


def _change(visit: Visit, names: tuple[str, str], deed: str, key: str, body: Any = None) -> Redirect:
    """`names` are the order's id and the return's."""
    order_id, return_id = names
    made = visit.visitor.send("POST", path("orders", order_id, "returns", return_id, deed), body, key=key).body
    return Redirect(f"/console/returns/{order_id}/{return_id}?said={made['status']}")
