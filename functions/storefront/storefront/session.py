"""Log-in and log-out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from pages import Form, Page, Redirect, Visit
from pages.app import kept_fields, own_path
from storefront import account, cart
from storefront.pages import pages


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
    return Page("login.html", {"back": back, "resume": visit.values.get("resume", ""), "kept": kept_fields(visit)})


@pages.post("/login", form=LogIn, again=show_log_in)
def log_in(visit: Visit, form: LogIn) -> Page | Redirect:
    visit.visitor.log_in(form.email, form.password.get_secret_value())
    if form.resume and (page := pages.continue_form(visit, form.resume, kept_fields(visit))):
        return page
    return cart.after_log_in(visit, own_path(form.back))


@pages.post("/logout")
def log_out(visit: Visit) -> Redirect:
    visit.visitor.log_out()
    return Redirect("/")
