"""Texts that staff changes: checked, versioned, previewed, and never able to stop a message."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.clock import rfc3339
from mercato.languages import Language
from mercato.store import dynamo
from notifications import examples
from notifications.rendering import fields_of
from notifications.sms_parts import parts_of
from notifications.wording import WORDINGS, Name
from tests.integration.notifications.conftest import Service

EXAMPLES = examples.EXAMPLES[Language.EN]

RECEIPT = "/api/notifications/texts/receipt/en"
WORDS = {"subject": "Paid: {{ amount }}", "body": "Dear {{ name }},\n\nthank you. {{ order }}"}


def change(service: Service, version: int, path: str = RECEIPT, **changes: str) -> tuple[int, Any]:
    return service.call("PUT", path, role="admin", body=WORDS | {"version": version} | changes)


def show(service: Service, path: str = RECEIPT, **query: str) -> Any:
    status, body = service.call("GET", path, role="admin", query=query)
    assert status == 200, body
    return body


def test_a_changed_text_is_sent_from_then_on(service: Service) -> None:
    service.register()
    service.receive(service.receipt("paid-1"))
    assert change(service, 0)[0] == 200
    service.pass_time(31)

    assert service.receive(service.receipt("paid-2")) == []

    assert [(subject, body) for _, subject, body in service.mailer.sent][1] == (
        "Paid: 12.50 GBP",
        "Dear Anna,\n\nthank you. order-1",
    )
    assert service.mailer.sent[0][1] == "Your receipt for 12.50 GBP"


def test_versions_stay_and_the_built_in_text_is_the_first(service: Service) -> None:
    built_in = show(service)
    assert (built_in["version"], built_in["subject"]) == (0, "Your receipt for {{ amount }}")
    assert change(service, 0)[1]["version"] == 1
    assert change(service, 1, subject="Thank you")[1]["version"] == 2
    assert show(service)["subject"] == "Thank you"
    assert show(service, version="1")["subject"] == WORDS["subject"]
    assert show(service, version="0") == built_in
    assert service.call("GET", RECEIPT, role="admin", query={"version": "3"})[0] == 404

    restored = {name: built_in[name] for name in ("subject", "body", "sms")}
    unmade = {"version": 0, "changed_at": None, "changed_by": None}
    assert change(service, 2, **restored)[1] | unmade == built_in


@pytest.mark.parametrize("name", list(Name))
@pytest.mark.parametrize("language", list(Language))
def test_each_built_in_text_can_be_sent_back(service: Service, name: Name, language: Language) -> None:
    path = f"/api/notifications/texts/{name}/{language}"
    found = show(service, path)
    body = {part: found[part] for part in ("subject", "body", "sms")} | {"version": 0}
    assert service.call("PUT", path, role="admin", body=body)[0] == 200


def test_each_version_tells_who_made_it_and_when(service: Service) -> None:
    first = service.now
    assert change(service, 0)[0] == 200
    service.pass_time(60)
    assert change(service, 1, subject="Thank you")[0] == 200

    found = [show(service, version=str(number)) for number in range(3)]

    at = [None, rfc3339(first), rfc3339(service.now)]
    assert [(one["changed_at"], one["changed_by"]) for one in found] == list(
        zip(at, (None, "user-1", "user-1"), strict=True)
    )


def test_a_retry_finds_what_it_wrote_and_another_change_is_refused(service: Service) -> None:
    assert change(service, 0) == change(service, 0)
    status, problem = change(service, 0, subject="Another")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:text-changed")
    assert show(service)["version"] == 1


@pytest.mark.parametrize(
    ("path", "changes", "field"),
    [
        (RECEIPT, {"body": "{{ card }}"}, "body"),
        (RECEIPT, {"subject": "{{ amount }"}, "subject"),
        (RECEIPT, {"body": "{{ name.secret }}"}, "body"),
        (RECEIPT, {"body": "{% if name %}{{ 1 + 1 }}"}, "body"),
        (RECEIPT, {"sms": "Paid"}, "sms"),
        ("/api/notifications/texts/order_delivered/en", {"subject": "x", "body": "x"}, "sms"),
        ("/api/notifications/texts/order_delivered/en", {"subject": "x", "body": "x", "sms": "ж" * 202}, "sms"),
    ],
)
@pytest.mark.parametrize("previews", [False, True])
def test_a_text_that_cannot_be_used_is_refused_at_its_field(
    service: Service, path: str, changes: dict[str, str], field: str, previews: bool
) -> None:
    if previews:
        status, problem = service.call("POST", f"{path}/previews", role="admin", body=WORDS | changes)
    else:
        status, problem = change(service, 0, path, **changes)
    assert (status, problem["type"]) == (422, "urn:mercato:problem:invalid-text")
    assert [one["field"] for one in problem["errors"]] == [field]
    assert show(service, path)["version"] == 0


def test_a_preview_shows_the_example_and_keeps_nothing(service: Service) -> None:
    words = {"subject": "There", "body": "{{ name }}: {{ order }}", "sms": "Da: {{ order }} – €"}
    path = "/api/notifications/texts/order_delivered/de"
    status, found = service.call("POST", f"{path}/previews", role="admin", body=words)
    assert (status, found) == (
        200,
        {"subject": "There", "body": "Ada Lovelace: K7QF2-M9X40", "sms": "Da: K7QF2-M9X40 – €", "sms_parts": 1},
    )
    assert show(service, path)["version"] == 0


def test_a_stored_text_that_cannot_be_filled_is_replaced_by_the_built_in_one(service: Service) -> None:
    """Such as one of a field that a later release no longer has."""
    service.register()
    assert change(service, 0)[0] == 200
    items = service.table.query_all("TEXT#receipt#en")
    service.table.write(dynamo.put(next(iter(items)) | {"body": "{{ gone }}"}))

    assert service.receive(service.receipt()) == []

    assert service.mailer.sent[0][1] == "Your receipt for 12.50 GBP"


@pytest.mark.parametrize("role", ["customer"])
def test_texts_are_for_staff(service: Service, role: str) -> None:
    for method, path in (("GET", "/api/notifications/texts"), ("GET", RECEIPT), ("PUT", RECEIPT)):
        body = WORDS | {"version": 0} if method == "PUT" else None
        assert service.call(method, path, role=role, body=body)[0] == 403


def test_all_texts_are_listed(service: Service) -> None:
    found = show(service, "/api/notifications/texts")["items"]
    assert {(one["name"], one["language"]) for one in found} == {(name, one) for name in Name for one in Language}


def test_the_list_has_the_version_in_force_with_who_made_it_and_when(service: Service) -> None:
    def listed() -> Any:
        found = show(service, "/api/notifications/texts")["items"]
        return {(one["name"], one["language"]): one for one in found}

    built_in = {"version": 0, "is_built_in": True, "changed_at": None, "changed_by": None}
    key = {"name": "receipt", "language": "en", "channels": ["email"]}
    assert listed()["receipt", "en"] == key | built_in
    assert listed()["order_shipped", "de"]["channels"] == ["email", "sms"]

    words = {name: show(service)[name] for name in ("subject", "body", "sms")}
    at = service.now
    assert change(service, 0)[0] == change(service, 0)[0] == 200
    made = {"version": 1, "is_built_in": False, "changed_at": rfc3339(at), "changed_by": "user-1"}
    assert listed()["receipt", "en"] == key | made
    service.pass_time(60)
    assert change(service, 0)[0] == 200  # a retry is no other change
    assert change(service, 0, subject="Late")[0] == 409
    assert listed()["receipt", "en"] == key | made

    assert change(service, 1, **words)[0] == 200
    later = {"version": 2, "is_built_in": True, "changed_at": rfc3339(service.now), "changed_by": "user-1"}
    assert listed()["receipt", "en"] == key | later
    assert listed()["receipt", "de"] == key | built_in | {"language": "de"}


def test_a_preview_writes_amounts_and_times_as_its_language_does(service: Service) -> None:
    words = {"subject": "{{ amount }}", "body": "{{ order }}"}
    for language, amount in (("en", "28.95 GBP"), ("de", "28,95 GBP")):
        path = f"/api/notifications/texts/receipt/{language}"
        assert service.call("POST", f"{path}/previews", role="admin", body=words)[1]["subject"] == amount
        (told,) = [one for one in show(service, path)["about_fields"] if one["name"] == "amount"]
        assert (told["example"], told["meaning"][-1]) == (amount, ".")
    words = {"subject": "{{ until }}", "body": "{{ order }}"}
    path = "/api/notifications/texts/payment_to_confirm/de/previews"
    assert service.call("POST", path, role="admin", body=words)[1]["subject"] == "12:22 Uhr (UTC)"


def test_each_field_has_a_meaning_and_no_meaning_is_of_no_field() -> None:
    used = {field for language in examples.EXAMPLES.values() for values in language.values() for field in values}
    assert used == set(examples.MEANINGS)


@pytest.mark.parametrize("name", Name)
def test_the_example_has_each_field_of_the_built_in_text(name: Name) -> None:
    wording = WORDINGS[Language.EN][name]
    assert fields_of(wording.subject + wording.body + wording.sms) == set(EXAMPLES[name])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 0),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ß" * 160, 1),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_parts_of_a_text_message(text: str, parts: int) -> None:
    assert parts_of(text) == parts
