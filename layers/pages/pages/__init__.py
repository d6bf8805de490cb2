"""Web pages from Lambda: routes that answer with HTML, forms, sessions in cookies, and what keeps them safe."""

from pages.app import (
    File,
    Form,
    FormInList,
    InvalidForm,
    NoSuchPage,
    Page,
    Pages,
    Redirect,
    SiteSettings,
    StoredFile,
    Visit,
)
from pages.visitor import Refused, Reply, Unavailable

__all__ = [
    "File",
    "Form",
    "FormInList",
    "InvalidForm",
    "NoSuchPage",
    "Page",
    "Pages",
    "Redirect",
    "Refused",
    "Reply",
    "SiteSettings",
    "StoredFile",
    "Unavailable",
    "Visit",
]
