"""The account: registering, verifying the address, a forgotten password, the profile, and closing it all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from pages import Form, Page, Redirect, Visit
from pages.visitor import part, path
from storefront.pages import pages

_NOTICES = {
    "name": "Your name is changed.",
    "password": "Your password is changed, and all other sessions have ended.",
    "mail": "We have sent you a mail with a link.",
    "verified": "Your address is verified. You can log in now.",
    "reset": "Your password is changed. You can log in with it now.",
    "closed": "Your account is closed. Goodbye!",
    "everywhere": "You are logged out everywhere.",
}
Password = Annotated[SecretStr, Field(min_length=1, max_length=1000)]


class Register(Form):
    email: Annotated[str, Field(min_length=3, max_length=254)]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    password: Password


class Token(Form):
    token: Annotated[str, Field(min_length=1, max_length=128)]


class AskReset(Form):
    email: Annotated[str, Field(min_length=3, max_length=254)]


class Reset(Form):
    token: Annotated[str, Field(min_length=1, max_length=128)]
    new_password: Password


class Name(Form):
    name: Annotated[str, Field(min_length=1, max_length=100)]


class NewPassword(Form):
    current_password: Password
    new_password: Password


class Closure(Form):
    password: Password
    sure: str = ""


@pages.get("/register")
def show_registration(visit: Visit) -> Page:
    del visit
    return Page("register.html")


@pages.post("/register", form=Register, again=show_registration)
def register(visit: Visit, form: Register) -> Page:
    body = {"email": form.email, "password": form.password.get_secret_value(), "name": form.name}
    reply = visit.visitor.send_as_guest("POST", path("users"), body)
    return Page("sent.html", {"detail": reply.body["detail"], "heading": "Look into your mail"})


@pages.get("/verify-email")
def show_verification(visit: Visit) -> Page:
    del visit
    return Page("verify.html")


@pages.post("/verify-email", form=Token, again=show_verification)
def verify(visit: Visit, form: Token) -> Redirect:
    visit.visitor.send_as_guest("POST", path("users", "verify-email"), {"token": form.token})
    return Redirect("/login?said=verified")


@pages.get("/password-forgotten")
def show_forgotten(visit: Visit) -> Page:
    del visit
    return Page("forgotten.html")


@pages.post("/password-forgotten", form=AskReset, again=show_forgotten)
def ask_reset(visit: Visit, form: AskReset) -> Page:
    reply = visit.visitor.send_as_guest("POST", path("users", "password-reset"), {"email": form.email})
    return Page("sent.html", {"detail": reply.body["detail"], "heading": "Look into your mail"})


@pages.get("/password-reset")
def show_reset(visit: Visit) -> Page:
    del visit
    return Page("reset.html")


@pages.post("/password-reset", form=Reset, again=show_reset)
def reset(visit: Visit, form: Reset) -> Redirect:
    body = {"token": form.token, "new_password": form.new_password.get_secret_value()}
    visit.visitor.send_as_guest("POST", path("users", "password-reset", "confirm"), body)
    return Redirect("/login?said=reset")


@pages.get("/account")
def show_account(visit: Visit) -> Page:
    visit.notice = visit.notice or notice_of(visit)
    preferences = part(lambda: visit.visitor.get(path("notifications", "preferences")))
    return Page("account.html", {"user": visit.visitor.get(path("users", "me")), "preferences": preferences})


def notice_of(visit: Visit) -> str:
    return _NOTICES.get(visit.request.query.get("said", ""), "")


@pages.post("/account/name", form=Name, again=show_account)
def change_name(visit: Visit, form: Name) -> Redirect:
    visit.visitor.send("PATCH", path("users", "me"), {"name": form.name})
    return Redirect("/account?said=name")


@pages.post("/account/password", form=NewPassword, again=show_account)
def change_password(visit: Visit, form: NewPassword) -> Redirect:
    """Ends all sessions, this one too: the visitor is logged in again with the new password."""
    email = visit.visitor.get(path("users", "me"))["email"]
    new = form.new_password.get_secret_value()
    body = {"current_password": form.current_password.get_secret_value(), "new_password": new}
    visit.visitor.send("PUT", path("users", "me", "password"), body)
    # The password is changed in any case: a form that is shown again would say that it is not.
    if part(lambda: visit.visitor.log_in(email, new)).missing:
        return _log_out(visit, "reset")
    return Redirect("/account?said=password")


@pages.post("/account/verification", again=show_account)
def ask_verification(visit: Visit) -> Redirect:
    visit.visitor.send("PUT", path("users", "me", "email-verification"))
    return Redirect("/account?said=mail")


@pages.post("/account/sessions", again=show_account)
def log_out_everywhere(visit: Visit) -> Redirect:
    visit.visitor.send("DELETE", path("users", "me", "sessions"))
    return _log_out(visit, "everywhere")


@pages.post("/account/closure", form=Closure, again=show_account)
def close(visit: Visit, form: Closure) -> Redirect:
    visit.visitor.send("PUT", path("users", "me", "closure"), {"password": form.password.get_secret_value()})
    return _log_out(visit, "closed")


def _log_out(visit: Visit, said: str) -> Redirect:
    """The caller has ended all sessions at the server, so a log-out that fails there is no error."""
    part(visit.visitor.log_out)
    return Redirect(f"/login?said={said}")
