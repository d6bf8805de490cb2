"""What AWS End User Messaging answers, and what the shop makes of it."""

from __future__ import annotations

import functools
import json

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from botocore.stub import Stubber

from mercato import aws
from mercato.aws.sms import EndUserMessaging, SmsNotSent, SmsOptedOut, SmsRefused, SmsUncertain
from mercato.telemetry import metrics

NUMBER = "+442079460958"
ASKED = {
    "DestinationPhoneNumber": NUMBER,
    "OriginationIdentity": "pool-1",
    "MessageBody": "Hello",
    "MessageType": "TRANSACTIONAL",
}


@pytest.fixture
def service(cloud: None) -> Stubber:
    """The real client, whose answers are checked against AWS's model."""
    return Stubber(aws.client("pinpoint-sms-voice-v2", attempts=1))


def send() -> None:
    EndUserMessaging("pool-1").send(NUMBER, "Hello")


def test_the_message_goes_out(service: Stubber) -> None:
    service.add_response("send_text_message", {"MessageId": "m"}, ASKED)
    with service:
        send()
    service.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "reason", "status", "kind", "counted"),
    [
        ("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT", 400, SmsOptedOut, 0),
        ("ValidationException", "INVALID_PARAMETER", 400, SmsRefused, 0),
        ("ValidationException", "DESTINATION_COUNTRY_BLOCKED", 400, SmsRefused, 0),
        ("ConflictException", "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION", 400, SmsRefused, 0),
        ("ValidationException", "SENDER_ID_NOT_REGISTERED", 400, SmsRefused, 1),
        ("ThrottlingException", "", 400, SmsNotSent, 0),
        ("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT", 400, SmsNotSent, 1),
        ("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED", 400, SmsNotSent, 1),
        ("AccessDeniedException", "ACCOUNT_DISABLED", 400, SmsNotSent, 1),
        ("ResourceNotFoundException", "", 400, SmsNotSent, 1),
        ("InternalServerException", "", 500, SmsUncertain, 0),
    ],
)
def test_each_refusal_of_aws(
    service: Stubber,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    reason: str,
    status: int,
    kind: type[Exception],
    counted: int,
) -> None:
    lines: list[str] = []
    metrics.flush(lambda _: None)  # what other tests have counted
    monkeypatch.setattr(metrics, "flush", functools.partial(metrics.flush, lines.append))
    fields = {"Reason": reason} if reason else None
    service.add_client_error(
        "send_text_message", code, f"{NUMBER} is wrong", status, expected_params=ASKED, modeled_fields=fields
    )
    with service, pytest.raises(kind, match=code) as found:
        send()
    assert type(found.value) is kind
    assert "442079460958" not in str(found.value)
    assert [json.loads(line)["SmsRefused"] for line in lines] == [1] * counted
    assert isinstance(found.value.__cause__, ClientError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectTimeoutError(endpoint_url="https://aws"), SmsNotSent),
        (ReadTimeoutError(endpoint_url="https://aws"), SmsUncertain),
    ],
)
def test_without_an_answer_the_message_may_have_been_sent(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    class Silent:
        def send_text_message(self, **_: str) -> None:
            raise error

    monkeypatch.setattr(aws, "client", lambda _, attempts=3: Silent())
    with pytest.raises(kind):
        send()
