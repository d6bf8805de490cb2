"""Links by e-mail: for one use, one purpose and a limited time; and what a stranger can find out by requesting one."""

import logging
from typing import TYPE_CHECKING, Any

import pytest

from mercato.aws.mail import MailNotSent, MailRefused, MailUncertain
from tests.kit import aws_events

if TYPE_CHECKING:
    from tests.integration.users.conftest import Answer, Service

NEW = "an umbrella for ducks"


@pytest.fixture
def ada(service: "Service") -> str:
    user_id = service.join()
    service.deliver()
    return user_id


def ask(service: "Service", email: str = "ada@example.com") -> "Answer":
    return service.call("POST", "/api/users/password-reset", {"email": email})


def confirm(service: "Service", token: str, password: str = NEW) -> "Answer":
    return service.call("POST", "/api/users/password-reset/confirm", {"token": token, "new_password": password})


def verify(service: "Service", token: str) -> "Answer":
    return service.call("POST", "/api/users/verify-email", {"token": token})


def asked_for_reset(service: "Service") -> str:
    assert ask(service).status == 202
    assert service.deliver() == []
    return service.mailer.token()


def test_registering_sends_a_link_that_verifies_the_address(service: "Service", ada: str) -> None:
    [(to, subject, body)] = service.mailer.sent
    assert (to, subject) == ("ada@example.com", "Please verify your e-mail address")
    assert f"https://shop.example/verify-email#token={ada}." in body

    assert verify(service, service.mailer.token()).status == 204

    assert service.call("GET", "/api/users/me", user_id=ada).body["email_verified"] is True
    assert [event["data"] for event in service.events("user.email_verified")] == [
        {"user_id": ada, "email": "ada@example.com"}
    ]


def test_a_verification_link_works_once(service: "Service", ada: str) -> None:
    token = service.mailer.token()
    verify(service, token)

    again = verify(service, token)

    assert (again.status, again.body["type"]) == (422, "urn:mercato:problem:invalid-token")
    assert len(service.events("user.email_verified")) == 1


def test_a_verification_link_works_for_a_day(service: "Service", ada: str) -> None:
    service.wait(hours=24)

    assert verify(service, service.mailer.token()).status == 422


def test_another_link_may_be_asked_for_and_replaces_the_first(service: "Service", ada: str) -> None:
    first = service.mailer.token()
    service.wait(minutes=2)

    assert service.call("PUT", "/api/users/me/email-verification", user_id=ada).status == 202
    service.deliver()

    second = service.mailer.token()
    assert first != second
    assert verify(service, first).status == 422
    assert verify(service, second).status == 204
    assert service.call("PUT", "/api/users/me/email-verification", user_id=ada).status == 202
    service.deliver()
    assert len(service.mailer.sent) == 2  # the address is verified, so nothing is sent


def test_a_reset_sets_the_password_and_ends_every_session(service: "Service", ada: str) -> None:
    phone, laptop = service.log_in().body["refresh_token"], service.log_in().body["refresh_token"]

    assert confirm(service, asked_for_reset(service)).status == 204

    assert service.refresh(phone).status == service.refresh(laptop).status == 401
    assert service.log_in().status == 401
    assert service.log_in(password=NEW).status == 200
    assert [event["data"] for event in service.events("user.password_changed")] == [{"user_id": ada}]


def test_the_owner_is_told_that_the_password_was_changed(service: "Service", ada: str) -> None:
    confirm(service, asked_for_reset(service))

    service.deliver()

    to, subject, body = service.mailer.sent[-1]
    assert (to, subject) == ("ada@example.com", "Your password was changed")
    assert "token" not in body


def test_a_reset_link_works_once(service: "Service", ada: str) -> None:
    token = asked_for_reset(service)
    confirm(service, token)

    again = confirm(service, token, "another umbrella")

    assert (again.status, again.body["type"]) == (422, "urn:mercato:problem:invalid-token")
    assert service.log_in(password="another umbrella").status == 401
    assert service.log_in(password=NEW).status == 200


def test_a_reset_link_works_for_half_an_hour(service: "Service", ada: str) -> None:
    token = asked_for_reset(service)
    service.wait(minutes=30)

    assert confirm(service, token).status == 422
    assert service.log_in().status == 200


def test_a_weak_new_password_does_not_spend_the_link(service: "Service", ada: str) -> None:
    token = asked_for_reset(service)

    assert confirm(service, token, "password123").body["type"] == "urn:mercato:problem:weak-password"
    assert confirm(service, token).status == 204


def test_a_link_of_one_purpose_serves_no_other(service: "Service", ada: str) -> None:
    verification, reset = service.mailer.token(), asked_for_reset(service)

    assert confirm(service, verification).status == 422
    assert verify(service, reset).status == 422


@pytest.mark.parametrize("token", ["", "x", "x" * 128, "019ab1de-8a00-7c3f-9c1e-0c6e4a2f7b11." + "a" * 43])
def test_a_guessed_token_opens_nothing(service: "Service", ada: str, token: str) -> None:
    ask(service)
    service.deliver()

    answers = [confirm(service, token), confirm(service, f"{ada}.{'a' * 43}"), verify(service, token)]

    assert {answer.body["type"] for answer in answers} == {"urn:mercato:problem:invalid-token"}


@pytest.mark.parametrize("email", ["nobody@example.com", "not an address", ""])
def test_asking_for_a_reset_tells_nobody_whether_there_is_an_account(
    service: "Service", ada: str, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    call = type(service.table)._call

    def counted(table: Any, operation: str, **parameters: Any) -> Any:
        calls.append(operation)
        return call(table, operation, **parameters)

    monkeypatch.setattr(type(service.table), "_call", counted)

    known = ask(service)
    work, calls[:] = list(calls), []
    unknown = ask(service, email)

    assert known.status == unknown.status == 202
    assert known.body == unknown.body
    assert known.headers.keys() == unknown.headers.keys()
    assert calls == work == ["get_item", "put_item"]


def test_only_the_owner_of_an_account_gets_a_mail(service: "Service", ada: str) -> None:
    service.mailer.sent.clear()
    ask(service, "nobody@example.com")
    service.deliver()
    assert service.mailer.sent == []

    asked_for_reset(service)
    assert [to for to, _, _ in service.mailer.sent] == ["ada@example.com"]


def test_a_stranger_fills_nobodys_mailbox(service: "Service", ada: str) -> None:
    service.mailer.sent.clear()
    for _ in range(20):
        ask(service)
        service.deliver()
        service.wait(seconds=12)

    assert len(service.mailer.sent) == 2
    assert confirm(service, service.mailer.token()).status == 204


def test_a_mail_that_ses_did_not_take_is_tried_again_and_sent_once(service: "Service", ada: str) -> None:
    service.mailer.sent.clear()
    ask(service)
    service.mailer.failures = [MailNotSent("throttled"), MailUncertain("no answer")]

    assert len(service.deliver()) == 1
    assert len(service.deliver()) == 1
    assert service.deliver() == []
    assert service.deliver(again=True) == []

    assert len(service.mailer.sent) == 1
    assert confirm(service, service.mailer.token()).status == 204
    assert service.deliver(again=True) == []
    assert [subject for _, subject, _ in service.mailer.sent] == [
        "Reset your password",
        "Your password was changed",
    ] + ["Your password was changed"] * (len(service.mailer.sent) - 2)


def test_the_log_has_the_answer_of_ses(service: "Service", ada: str, caplog: pytest.LogCaptureFixture) -> None:
    """docs/runbook.md sends the operator there, under MailsRefused."""
    ask(service)
    service.mailer.failures = [MailNotSent("AccessDeniedException: no"), MailRefused("MessageRejected: no")]
    for answer in ("AccessDeniedException: no", "MessageRejected: no"):
        caplog.clear()
        service.deliver()
        assert [one for one in caplog.records if answer in vars(one).get("reason", "")]


def test_a_mail_that_ses_refuses_for_good_is_not_tried_again(service: "Service", ada: str) -> None:
    ask(service)
    service.mailer.failures = [MailRefused("no such mailbox: ada@example.com")]

    assert service.deliver() == []


def test_a_request_delivered_again_after_a_newer_one_sends_nothing_and_leaves_the_newest_link(
    service: "Service", ada: str
) -> None:
    asked_for_reset(service)
    service.wait(minutes=3)
    newest = asked_for_reset(service)
    service.wait(minutes=3)
    sent = len(service.mailer.sent)

    assert service.deliver(again=True) == []

    assert len(service.mailer.sent) == sent
    assert confirm(service, newest).status == 204


def test_a_request_that_was_passed_over_sends_nothing_when_it_comes_again(service: "Service", ada: str) -> None:
    link = asked_for_reset(service)
    service.wait(minutes=1)
    ask(service)
    assert service.deliver() == []
    service.wait(minutes=3)
    sent = len(service.mailer.sent)

    assert service.deliver(again=True) == []

    assert len(service.mailer.sent) == sent
    assert confirm(service, link).status == 204


def test_a_request_of_before_the_reset_sends_nothing_after_it(service: "Service", ada: str) -> None:
    link = asked_for_reset(service)
    service.wait(minutes=3)
    ask(service)
    service.wait(minutes=1)
    assert confirm(service, link).status == 204
    service.wait(minutes=1)
    subjects = [subject for _, subject, _ in service.mailer.sent]

    for _ in range(2):
        assert service.deliver(again=True) == []

    new = [subject for _, subject, _ in service.mailer.sent][len(subjects) :]
    assert "Reset your password" not in new


def test_a_verification_mail_delivered_again_after_a_newer_one_sends_nothing(service: "Service", ada: str) -> None:
    service.wait(minutes=3)
    service.call("PUT", "/api/users/me/email-verification", user_id=ada)
    service.deliver()
    newest, sent = service.mailer.token(), len(service.mailer.sent)
    service.wait(minutes=3)

    assert service.deliver(again=True) == []

    assert len(service.mailer.sent) == sent
    assert verify(service, newest).status == 204


def test_a_reset_asked_for_long_ago_is_not_sent(service: "Service", ada: str) -> None:
    service.mailer.sent.clear()
    ask(service)
    service.wait(minutes=31)
    service.deliver()

    assert service.mailer.sent == []


def test_a_mail_waits_that_would_be_cut_off_by_the_end_of_its_invocation(service: "Service") -> None:
    service.join()
    assert len(service.deliver(context=aws_events.Context(9900))) == 1
    assert service.mailer.sent == []

    assert service.deliver() == []
    assert len(service.mailer.sent) == 1


def test_no_token_is_in_an_event_a_log_or_the_table(
    service: "Service", ada: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        tokens = [service.mailer.token(), asked_for_reset(service)]
        verify(service, tokens[0])
        confirm(service, tokens[1])
        confirm(service, tokens[1])

    logged = str([vars(record) for record in caplog.records])  # with the fields of each line, which its text has not
    assert "/api/users/verify-email" in logged
    seen = str(service.items("")) + logged
    for token in tokens:
        assert token.partition(".")[2] not in seen
    for secret in (NEW, "correct horse battery"):
        assert secret not in seen


def test_who_resets_from_a_new_place_gets_in_while_strangers_are_guessing(service: "Service", ada: str) -> None:
    for _ in range(6):
        service.log_in(password="wrong")
    assert service.log_in().status == 429

    confirm(service, asked_for_reset(service))

    assert service.log_in(password=NEW).status == 200
