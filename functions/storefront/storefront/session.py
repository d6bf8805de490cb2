"""Log-in and log-out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from pydantic import Field, SecretStr

from pages import Form, Page, Redirect, Visit
from pages.app import own_path
from storefront import account, cart
from storefront.pages import pages

_KEPT = "kept."


class LogIn(Form):
    """`resume` is the path of a form that the end of a session interrupted; its fields are named `kept.<name>`."""

    email: Annotated[str, Field(min_length=3, max_length=254)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=1000)]
    back: str = "/"
    resume: str = ""


@pages.get("/login")
def show_log_in(visit: Visit) -> Page:
    visit.notice = visit.notice or account.notice_of(visit)
    back = own_path(visit.values.get("back", visit.request.query.get("back", "")))
    return Page("login.html", {"back": back, "resume": visit.values.get("resume", ""), "kept": _kept(visit)})


@pages.post("/login", form=LogIn, again=show_log_in)
def log_in(visit: Visit, form: LogIn) -> Page | Redirect:
    visit.visitor.log_in(form.email, form.password.get_secret_value())
    if form.resume and (page := pages.continue_form(visit, form.resume, _kept(visit))):
        return page
    return cart.after_log_in(visit, own_path(form.back))


def _kept(visit: Visit) -> dict[str, str]:
    """The fields of the form that the end of the session interrupted."""
    fields = parse_qsl(visit.request.body.decode(errors="replace"), keep_blank_values=True)
    return {name.removeprefix(_KEPT): value for name, value in fields if name.startswith(_KEPT)}


@pages.post("/logout")
def log_out(visit: Visit) -> Redirect:
    visit.visitor.log_out()
    return Redirect("/")
