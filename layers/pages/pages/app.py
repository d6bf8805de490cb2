"""Pages for Lambda behind an HTTP API: a route's function returns a page, a redirect or a file.

    @pages.get("/p/{product_id}")
    def show_product(visit: Visit, product_id: str) -> Page: ...

    @pages.post("/checkout", form=Checkout, again=show_checkout)
    def place_order(visit: Visit, form: Checkout) -> Redirect: ...

A form that is refused, by its own rules or by the API, is shown again by `again`, with what was typed and a message at
each field. A form whose session has ended is kept through the log-in. A GET changes nothing.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import gzip
import re
import typing
import uuid
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mercato.clock import wait_in_words
from mercato.dataclass import dataclass
from mercato.errors import DomainError, Malformed, MethodNotAllowed, NotFound, TransientError
from mercato.http.app import is_id
from mercato.http.request import Request, headers_of, read_request
from mercato.http.response import accepts_gzip, problem_of
from mercato.http.validation import describe
from mercato.invocation import deadline
from mercato.telemetry import correlation, failures
from mercato.telemetry.logs import log
from pages import cookies, security, static
from pages.view import Templates, amounts
from pages.visitor import LogInFirst, Refused, Reply, Unavailable, Visitor

_NOT_NOW = "This is not possible now."
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")  # no host, no backslash: a browser reads both as one
_FORM = "application/x-www-form-urlencoded"
_KEPT = "kept."  # before the name of a field of an interrupted form, in the form of the log-in
# What the API says to a client's developer, in the words of who has sent the form.
_IN_WORDS = {
    "request-in-flight": "Your first try is still under way. Please wait a moment, and send it again: it is done once.",
    "idempotency-key-reused": "This form was sent before, with something else in it. Please look at what that has"
    " done. If you send it again, it is done too.",
    "order-not-cancellable": "This order cannot be cancelled any more: its parcel has left, or staff look at it.",
    "order-not-returnable": "Nothing of this order can be returned now. Its state is on this page.",
}


@dataclass(frozen=True)
class SiteSettings:
    """`site_url` is the origin of the site's pages, such as https://shop.example. `edge_key_id` names the secret of the
    edge in front of them, if there is one, and `media_bucket` the bucket of the products' pictures.
    """

    site_url: str
    edge_key_id: str = ""
    media_bucket: str = ""


class Form(BaseModel):
    """What a form's fields hold. Fields that it does not know are left out: browsers and their tools add some."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True, defer_build=True)


class FormInList(Form):
    """The form of one entry of a list. `cursor` is of the page of the list that has the entry."""

    cursor: Annotated[str, Field(max_length=2000)] = ""


class InvalidForm(Exception):
    """The form's fields are not as they should be. `errors` has a message by field; `""` is of the form as a whole. Of
    what the API has refused, `reply` is its answer, whose status the page has.
    """

    def __init__(self, errors: Mapping[str, str], reply: Reply | None = None) -> None:
        super().__init__(", ".join(errors))
        self.errors = dict(errors)
        self.reply = reply


class NoSuchPage(NotFound):
    """There is no page at this address."""


@dataclass(frozen=True)
class Page:
    """A template with its values. `policy` adds sources to the Content-Security-Policy, by directive. `is_personal`:
    it holds something of its visitor's, beside whether the visitor has logged in.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    policy: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    is_personal: bool = True


@dataclass(frozen=True)
class Redirect:
    """303: the browser gets `to`, a path of ours, so that a reload does not send the form again."""

    to: str


@dataclass(frozen=True)
class StoredFile:
    """303: the browser gets a file by the signed address that our API has given, never one that a visitor has sent."""

    url: str


@dataclass(frozen=True)
class File:
    """Bytes that are no page. A file whose address changes with its content is kept for good. `download` is the name
    under which a browser stores it.
    """

    content: bytes
    media_type: str
    is_immutable: bool = False
    encoding: str = ""
    download: str = ""


Answer = Page | Redirect | StoredFile | File


@dataclasses.dataclass
class Visit:
    """One request. `values` and `errors` are of a form that is shown again; `notice` stands above the page."""

    request: Request
    visitor: Visitor
    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    notice: str = ""

    def require_log_in(self) -> None:
        """For a page that asks nothing of the API. Raises LogInFirst."""
        if not self.visitor.is_logged_in:
            raise LogInFirst("Please log in to see this page.")

    @property
    def way_back(self) -> str:
        """Where to go after the log-in: this page, if it can be shown by its address alone."""
        return _address(self.request) if self.request.method == "GET" else ""


@dataclass(frozen=True)
class _Route:
    method: str
    pattern: re.Pattern[str]
    function: Callable[..., Answer]
    form: type[Form] | None
    again: Callable[..., Page] | None
    is_one_click: bool = False


class Pages:
    """The pages of one site. `handler` is what Lambda calls."""

    def __init__(
        self,
        templates: Path,
        names: cookies.Names,
        settings: Callable[[], SiteSettings],
        *,
        home: str = "/",
        log_in: str = "/login",
        filters: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
    ) -> None:
        self.log_in = log_in
        self.paths: list[tuple[str, str]] = []
        self._names = names
        self._settings = settings
        self._templates = Templates(templates, {"home": home, "log_in": log_in}, filters)
        self._routes: list[_Route] = []
        self.get("/static/{digest}/{name}")(_serve_static)
        self.get("/media/{image_id}/{name}")(self._serve_media)

    @functools.cached_property
    def _visitors(self) -> security.Visitors:
        return security.Visitors(self._settings().edge_key_id)

    def get[F: Callable[..., Answer]](self, path: str) -> Callable[[F], F]:
        return self._register("GET", path, None, None)

    def post[F: Callable[..., Answer]](
        self, path: str, *, form: type[Form] | None = None, again: Callable[..., Page] | None = None
    ) -> Callable[[F], F]:
        return self._register("POST", path, form, again)

    def post_one_click[F: Callable[..., Answer]](self, path: str) -> Callable[[F], F]:
        """Takes a POST from anywhere, with any body, such as a mail provider's (RFC 8058). The path alone must say who
        asks for what: the page uses nothing that the browser holds.
        """
        return self._register("POST", path, None, None, is_one_click=True)

    def _register[F: Callable[..., Answer]](
        self,
        method: str,
        path: str,
        form: type[Form] | None,
        again: Callable[..., Page] | None,
        *,
        is_one_click: bool = False,
    ) -> Callable[[F], F]:
        parts = re.split(r"\{(\w+)\}", path)
        text = "".join(re.escape(part) if i % 2 == 0 else f"(?P<{part}>[^/]+)" for i, part in enumerate(parts))

        def register(function: F) -> F:
            self.paths.append((method, path))
            self._routes.append(_Route(method, re.compile(text), function, form, again, is_one_click))
            return function

        return register

    def handler(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        headers = headers_of(event)
        work = correlation.accept(headers.get("x-request-id"), headers.get("traceparent"))
        with correlation.bound(work), deadline.of_invocation(context):
            settings = self._settings()
            held = cookies.read(event.get("cookies") or [headers.get("cookie", "")])
            visitor = Visitor(self._names, held, self._visitors.address(event, headers))
            visit = None
            method, path = event["requestContext"]["http"]["method"], event.get("rawPath") or "/"
            try:
                visit = Visit(read_request(event, headers), visitor)
                written = self._write(self._answer(visit, settings.site_url), visit, visitor, work.correlation_id)
            except Exception as error:  # also a template that finds a value missing
                written = self._write(self._told(error, visit), visit, visitor, work.correlation_id)
            log.info("page", extra={"method": method, "path": _for_logs(path), "status": written["statusCode"]})
            if written["statusCode"] >= 500:
                failures.count()
            return written if method != "HEAD" else written | {"body": "", "isBase64Encoded": False}

    def _answer(self, visit: Visit, site_url: str) -> Answer:
        request = visit.request
        try:
            route, names = self._match(request)
        except DomainError:
            security.require_same_origin(request.method, request.headers, site_url)
            if self._takes_forms_alone(request):
                return Redirect(self._page_above(request.path))
            raise
        if route.is_one_click:
            return route.function(visit, **names)
        security.require_same_origin(request.method, request.headers, site_url)
        if route.method == "GET":
            return route.function(visit, **names)
        fields = _fields_of(visit.request)
        try:
            if route.form is None:
                return route.function(visit, **names)
            return route.function(visit, **names, form=read_form(route.form, fields))
        except LogInFirst:
            return self._ask_to_log_in(visit, fields)
        except (InvalidForm, Refused, Unavailable) as error:
            if route.again is None:
                raise
            return self._show_again(route.again, names, visit, fields, error)

    def _show_again(
        self,
        again: Callable[..., Page],
        names: Mapping[str, str],
        visit: Visit,
        fields: Mapping[str, str | list[str]],
        error: InvalidForm | Refused | Unavailable,
    ) -> Page:
        visit.values = _shown_again(fields)
        if not isinstance(error, Unavailable) and error.reply and error.reply.status == 422:
            visit.values.pop("key", None)  # what was refused is to be changed: the next try is another request
        status, visit.errors = _errors_of(error)
        page = again(visit, **names)
        headers = _retry_after(error)
        status = status if page.status == 200 else page.status
        return Page(page.template, page.values, status, page.policy, {**page.headers, **headers})

    def _serve_media(self, visit: Visit, image_id: str, name: str) -> File:
        from pages import media

        content = media.read_rendition(self._settings().media_bucket, image_id, name)
        if content is None:
            raise NoSuchPage("There is no such picture.")
        return File(content, "image/webp", is_immutable=True)

    def continue_form(self, visit: Visit, path: str, fields: Mapping[str, str | list[str]]) -> Page | None:
        """The page of a form that a log-in interrupted, with what was typed. None where `path` has no such form."""
        request = Request("POST", path, visit.request.headers, {}, b"", source_ip=visit.request.source_ip)
        try:
            route, names = self._match(request)
        except DomainError:
            return None
        if route.again is None:
            return None
        visit.values = _shown_again(fields)
        visit.notice = "You are logged in again. Nothing was sent yet: please look, and send it once more."
        return route.again(visit, **names)

    def _ask_to_log_in(self, visit: Visit, fields: Mapping[str, str | list[str]]) -> Page:
        values = {"resume": visit.request.path, "kept": pairs_of(fields), "back": ""}
        visit.errors = {"": "Your session has ended. Log in, and what you typed is still there."}
        return Page("login.html", values, 401)

    def _match(self, request: Request) -> tuple[_Route, dict[str, str]]:
        wanted = "GET" if request.method == "HEAD" else request.method
        here = [(route, match) for route in self._routes if (match := route.pattern.fullmatch(request.path))]
        for route, match in here:
            if route.method == wanted:
                found = {name: unquote(value) for name, value in match.groupdict().items()}
                if all(is_id(value) for value in found.values()):
                    return route, found
        if here and wanted != "GET":
            allowed = sorted({route.method for route, _ in here})
            raise MethodNotAllowed("This page takes no such request.", allow=allowed)
        raise NoSuchPage("There is no page at this address.")

    def _page_address(self, request: Request) -> str:
        """Where the visitor comes back to after a log-in. A form is sent to its page, or to a path below it."""
        return _address(request) if request.method in ("GET", "HEAD") else self._page_above(request.path)

    def _takes_forms_alone(self, request: Request) -> bool:
        """Whether a page is asked for where only forms are sent. A browser that opens a tab again does so if the tab
        showed the answer to a form.
        """
        here = {route.method for route in self._routes if route.pattern.fullmatch(request.path)}
        return request.method in ("GET", "HEAD") and bool(here) and "GET" not in here

    def _page_above(self, path: str) -> str:
        while path and not any(one.method == "GET" and one.pattern.fullmatch(path) for one in self._routes):
            path = path.rpartition("/")[0]
        return path or "/"

    def _told(self, error: Exception, visit: Visit | None) -> Answer:
        """Every error is a page that says what to do; the last one is the last line of defence."""
        is_part = visit is not None and "hx-request" in visit.request.headers
        if isinstance(error, LogInFirst) and visit is not None and not is_part:
            return Redirect(f"{self.log_in}?{urlencode({'back': visit.way_back})}")
        if isinstance(error, Refused):
            status = error.reply.status
            detail = error.reply.detail or _NOT_NOW
        elif isinstance(error, (DomainError, TransientError)):
            problem = problem_of(error)
            status, detail = problem.status, str(error)
            if isinstance(error, Unavailable):
                detail = f"{detail} {_when_again(error)}"
        else:
            log.exception("page failed")
            status, detail = 500, "Please try again, and quote the request id when you ask about it."
        values = {"status": status, "detail": detail, "again": visit.way_back if visit else ""}
        # A part of a page that asks for itself is not replaced by the page of the log-in: its page is loaded again.
        refresh = {"HX-Refresh": "true"} if isinstance(error, LogInFirst) and is_part else {}
        return Page("error.html", values, status, headers={**_retry_after(error), **refresh})

    def _write(self, answer: Answer, visit: Visit | None, visitor: Visitor, request_id: str) -> dict[str, Any]:
        headers = security.headers() | {"X-Request-Id": request_id}
        set_cookies = list(visitor.set_cookies.values())
        if isinstance(answer, Redirect):
            headers["Location"] = answer.to if _OWN_PATH.fullmatch(answer.to) else "/"
            return {"statusCode": 303, "headers": headers, "cookies": set_cookies, "body": ""}
        if isinstance(answer, StoredFile):
            headers["Location"] = answer.url
            return {"statusCode": 303, "headers": headers, "cookies": set_cookies, "body": ""}
        if isinstance(answer, File):
            headers["Content-Type"] = answer.media_type
            if answer.is_immutable:
                headers["Cache-Control"] = "public, max-age=31536000, immutable"
            if answer.download:
                headers |= {
                    "Content-Disposition": f'attachment; filename="{answer.download}"',
                    "Cache-Control": "no-store",
                }
            if answer.media_type.startswith("text/"):
                headers["Vary"] = "Accept-Encoding"
            if answer.encoding:
                headers["Content-Encoding"] = answer.encoding
            body = base64.b64encode(answer.content).decode()
            return {
                "statusCode": 200,
                "headers": headers,
                "cookies": set_cookies if answer.download else [],
                "body": body,
                "isBase64Encoded": True,
            }
        if answer.policy:
            headers["Content-Security-Policy"] = security.policy(*answer.policy)
        headers |= {"Content-Type": "text/html; charset=utf-8"} | dict(answer.headers)
        about = {
            "is_logged_in": visitor.is_logged_in,
            "has_order": bool(visitor.order_token),
            "has_cart": visitor.is_logged_in or bool(visitor.cart_id),
            "path": visit.request.path if visit else "/",
            "page_address": self._page_address(visit.request) if visit else "/",
            "values": visit.values if visit else {},
            "errors": {name: amounts(text) for name, text in visit.errors.items()} if visit else {},
            "notice": visit.notice if visit else "",
            "request_id": request_id,
            "is_later": bool(visit and visit.request.query.get("cursor")),  # a page of a list that is not its first
            "new_key": str(uuid.uuid4()),
        }
        text = self._templates.render(answer.template, {**about, **answer.values})
        written = {"statusCode": answer.status, "headers": headers, "cookies": set_cookies, "body": text}
        # What a visitor's own page holds is not compressed: its length would tell of it (BREACH).
        is_own = answer.is_personal and (visitor.is_logged_in or visitor.has_secrets)
        if visit is None or is_own or not accepts_gzip(visit.request.headers.get("accept-encoding", "")):
            return written
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        body = base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()
        return written | {"body": body, "isBase64Encoded": True}


def read_form[F: Form](form: type[F], fields: Mapping[str, str | list[str]]) -> F:
    """Raises InvalidForm. A field of the form that is a list takes all values of its name, any other the last.

    What is wrong with field `b` of a form `a` that is inside this one is told at `a_b`.
    """
    lists = {name for name, about in form.model_fields.items() if typing.get_origin(about.annotation) is list}
    given: dict[str, Any] = {}
    for name, value in fields.items():
        if name in lists:
            given[name] = value if isinstance(value, list) else [value]
        else:
            given[name] = value[-1] if isinstance(value, list) else value
    try:
        return form.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise InvalidForm(
            {"_".join(part for part in one["loc"] if isinstance(part, str)): _sentence(describe(one)) for one in found}
        ) from None


def _sentence(words: str) -> str:
    return f"This {words}." if words else "This is not valid."


def _fields_of(request: Request) -> dict[str, str | list[str]]:
    if not request.body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise Malformed("This page takes forms only.")
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=500)
    except ValueError:
        raise Malformed("The form cannot be read.") from None
    fields: dict[str, str | list[str]] = {}
    for name, value in pairs:
        before = fields.get(name)
        fields[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return fields


def _shown_again(fields: Mapping[str, str | list[str]]) -> dict[str, str]:
    """All that was typed but passwords, which no page ever holds."""
    return dict(pairs_of(fields))


def pairs_of(fields: Mapping[str, str | list[str]]) -> list[tuple[str, str]]:
    """Each field with each of its values, in the order in which they were sent, but passwords."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    return [(name, value) for name, values in lists.items() if "password" not in name for value in values]


def _errors_of(error: InvalidForm | Refused | Unavailable) -> tuple[int, dict[str, str]]:
    if isinstance(error, InvalidForm):
        return error.reply.status if error.reply else 422, error.errors
    if isinstance(error, Unavailable):
        request = f"The request is {correlation.current().correlation_id}."
        return 503, {"": f"{error} {_when_again(error)} What you typed is still here. {request}"}
    reply = error.reply
    found = messages_by_field(reply, lambda path: path.rpartition(".")[2])
    return reply.status, found or {"": _IN_WORDS.get(reply.problem) or reply.detail or _NOT_NOW}


def _when_again(error: Unavailable) -> str:
    if not error.retry_after:
        return "Please try again."
    return f"Please try again in {wait_in_words(max(1, round(error.retry_after)))}."


def messages_by_field(reply: Reply, field_of: Callable[[str], str]) -> dict[str, str]:
    """What the API says about single fields, by the form's field for each path, such as shipping_address.city. Of a
    refusal that something in front of the API has written, nothing.
    """
    errors = reply.body.get("errors", []) if reply.problem else []
    return {field_of(str(one.get("field", ""))): _sentence(str(one.get("message", ""))) for one in errors}


def _retry_after(error: Exception) -> dict[str, str]:
    if isinstance(error, (InvalidForm, Refused)) and error.reply and "retry-after" in error.reply.headers:
        return {"Retry-After": error.reply.headers["retry-after"]}
    if isinstance(error, Unavailable):
        return {"Retry-After": str(max(1, round(error.retry_after or 1)))}
    return {}


def kept_fields(visit: Visit) -> dict[str, str | list[str]]:
    """The fields of a form that the end of the session interrupted. The log-in's form has them as `kept.<name>`."""
    fields = _fields_of(visit.request) if visit.request.method == "POST" else {}
    return {name.removeprefix(_KEPT): value for name, value in fields.items() if name.startswith(_KEPT)}


def values_of(visit: Visit, name: str) -> list[str]:
    """All values of a field of the form that is shown again, also where a log-in has interrupted it."""
    fields = _fields_of(visit.request) if visit.request.method == "POST" else {}
    sent = fields.get(_KEPT + name, fields.get(name))
    if sent is None:
        return [visit.values[name]] if name in visit.values else []
    return sent if isinstance(sent, list) else [sent]


def own_path(text: str, otherwise: str = "/") -> str:
    """A path of ours, as a query or a form states it; `otherwise` where it leads elsewhere."""
    return text if _OWN_PATH.fullmatch(text) else otherwise


def _address(request: Request) -> str:
    return request.path + (f"?{urlencode(request.query)}" if request.query else "")


def _for_logs(path: str) -> str:
    """Without what may be a secret: an id is told by its first letters."""
    return "/".join(part if len(part) <= 24 else f"{part[:8]}…" for part in path.split("/"))


def _serve_static(visit: Visit, digest: str, name: str) -> File:
    found = static.find(name)
    if found is None:
        raise NoSuchPage("There is no such file.")
    content, encoding = found.encoded(visit.request.headers.get("accept-encoding", ""))
    # Under another digest it is not kept: the page is of another release, as while a deploy is under way.
    return File(content, found.media_type, is_immutable=digest == static.release(), encoding=encoding)
