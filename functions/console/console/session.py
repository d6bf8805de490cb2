"""Log-in and log-out of operators. An account without the role has no session here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from console.pages import pages
from pages import Form, InvalidForm, Page, Redirect, Visit
from pages.app import kept_fields, own_path
from pages.visitor import path


class LogIn(Form):
    """`resume` is the path of a form that the end of a session interrupted; its fields are named `kept.<name>`."""

    email: Annotated[str, Field(min_length=3, max_length=254)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=1000)]
    back: str = "/console"
    resume: str = ""


@pages.get("/console/login")
def show_log_in(visit: Visit) -> Page:
    back = own_path(visit.values.get("back", visit.request.query.get("back", "")), "/console")
    return Page("login.html", {"back": back, "resume": visit.values.get("resume", ""), "kept": kept_fields(visit)})


@pages.post("/console/login", form=LogIn, again=show_log_in)
def log_in(visit: Visit, form: LogIn) -> Page | Redirect:
    visit.visitor.log_in(form.email, form.password.get_secret_value())
    if visit.visitor.get(path("users", "me"))["role"] != "admin":
        visit.visitor.log_out()
        raise InvalidForm({"": "This account may not use the console."})
    if form.resume and (page := pages.continue_form(visit, form.resume, kept_fields(visit))):
        return page
    return Redirect(own_path(form.back, "/console"))


@pages.post("/console/logout")
def log_out(visit: Visit) -> Redirect:
    visit.visitor.log_out()
    return Redirect("/console/login")
