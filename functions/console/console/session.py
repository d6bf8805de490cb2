"""Log-in and log-out of operators. An account without the role has no session here."""

from __future__ import annotations

from console.pages import pages
from pages import InvalidForm, Page, Redirect, Visit
from pages.app import kept_fields, own_path
from pages.log_in import LogIn, form_values
from pages.visitor import path


@pages.get("/console/login")
def show_log_in(visit: Visit) -> Page:
    return Page("login.html", form_values(visit, "/console"))


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
