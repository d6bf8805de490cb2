"""The log-in form, which both sites have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SecretStr

from pages.app import Form, Visit, kept_fields, own_path, pairs_of


class LogIn(Form):
    """`resume` is the path of a form that the end of a session interrupted; its fields are named `kept.<name>`. `back`
    is empty for the site's first page.
    """

    email: Annotated[str, Field(min_length=3, max_length=254)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=1000)]
    back: str = ""
    resume: str = ""


def form_values(visit: Visit, home: str) -> dict[str, Any]:
    """What login_form.html shows. `home` is where a log-in leads that names no page of ours."""
    back = own_path(visit.values.get("back", visit.request.query.get("back", "")), home)
    return {"back": back, "resume": visit.values.get("resume", ""), "kept": pairs_of(kept_fields(visit))}
