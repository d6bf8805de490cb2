"""Log-in and log-out."""

from __future__ import annotations

from pages import Page, Redirect, Visit
from pages.app import kept_fields, own_path
from pages.log_in import LogIn, form_values
from storefront import account, cart
from storefront.pages import pages


@pages.get("/login")
def show_log_in(visit: Visit) -> Page:
    visit.notice = visit.notice or account.notice_of(visit)
    return Page("login.html", form_values(visit, "/"))


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
