import functools
import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from mercato import aws
from mercato.aws.mail import MailNotSent, MailRefused, MailUncertain, SesMailer
from mercato.aws.sending import LONGEST
from mercato.telemetry import correlation, metrics

# What SES answers before the sender's identity is verified, and in its sandbox for any other recipient.
NOT_VERIFIED = (
    "Email address is not verified. The following identities failed the check in region EU-WEST-1: shop@mercato.example"
)


class FakeSes:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls: list[dict[str, Any]] = []

    def send_email(self, **call: Any) -> dict[str, str]:
        self.calls.append(call)
        if self.error:
            raise self.error
        return {"MessageId": "m"}


def mailer(sender: str = "shop@mercato.example") -> SesMailer:
    return SesMailer(sender, "mercato-mails")


def answered(code: str, status: int = 400, message: str = "no") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "SendEmail",
    )


def test_ses_gets_the_mail(cloud: None) -> None:
    boto3.client("ses", "us-east-1").verify_email_identity(EmailAddress="shop@mercato.example")
    mailer().send("anna@example.com", "Hello – £5", "Anna ♥")
    (message,) = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages
    assert (message.source, message.destinations) == ("shop@mercato.example", {"ToAddresses": ["anna@example.com"]})
    assert (message.subject, message.body) == ("Hello – £5", "Anna ♥")


def test_one_click_ends_a_mail_that_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ses = FakeSes()
    monkeypatch.setattr(aws, "client", lambda _, attempts=3: ses)
    mailer().send("anna@example.com", "s", "b", "https://shop.example/unsubscribe/t")
    mailer().send("anna@example.com", "s", "b")

    with_link, without = (
        {one["Name"]: one["Value"] for one in call["Content"]["Simple"]["Headers"]} for call in ses.calls
    )
    assert with_link["List-Unsubscribe"] == "<https://shop.example/unsubscribe/t>"
    assert with_link["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "List-Unsubscribe" not in without


@pytest.mark.parametrize("service", ["sesv2", "pinpoint-sms-voice-v2"])
def test_an_answer_comes_within_the_time_that_senders_leave_for_it(cloud: None, service: str) -> None:
    bounds = aws.client(service, attempts=1).meta.config
    assert bounds.connect_timeout + bounds.read_timeout < LONGEST


def test_a_mail_of_an_unverified_sender_waits(cloud: None) -> None:
    with pytest.raises(MailNotSent):
        mailer("stranger@mercato.example").send("anna@example.com", "s", "b")


def test_the_mail_carries_the_correlation_id(monkeypatch: pytest.MonkeyPatch) -> None:
    ses = FakeSes()
    monkeypatch.setattr(aws, "client", lambda _, attempts=3: ses)
    with correlation.bound(correlation.accept("request-0001")):
        mailer().send("anna@example.com", "s", "b")
    headers = ses.calls[0]["Content"]["Simple"]["Headers"]
    assert headers == [{"Name": "X-Correlation-Id", "Value": "request-0001"}]


def test_the_mail_is_sent_by_the_shops_configuration_set(monkeypatch: pytest.MonkeyPatch) -> None:
    ses = FakeSes()
    monkeypatch.setattr(aws, "client", lambda _, attempts=3: ses)
    mailer().send("anna@example.com", "s", "b")
    assert ses.calls[0]["ConfigurationSetName"] == "mercato-mails"


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (answered("MessageRejected", message=NOT_VERIFIED), 1),
        (answered("AccessDeniedException", 403), 1),
        (answered("SendingPausedException"), 1),
        (answered("MessageRejected", message="Illegal address"), 0),
        (answered("TooManyRequestsException", 429), 0),
        (answered("ThrottlingException", message="Maximum sending rate exceeded."), 0),
        # https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html
        (answered("ThrottlingException", message="Daily message quota exceeded."), 1),
        (answered("TooManyRequestsException", 429, message="Daily message quota exceeded."), 1),
        (answered("InternalFailure", 500), 0),
    ],
)
def test_what_an_operator_has_to_repair_is_counted(
    monkeypatch: pytest.MonkeyPatch, error: Exception, counted: int
) -> None:
    lines: list[str] = []
    metrics.flush(lambda _: None)  # what other tests have counted
    monkeypatch.setattr(metrics, "flush", functools.partial(metrics.flush, lines.append))
    monkeypatch.setattr(aws, "client", lambda _, attempts=3: FakeSes(error))
    with pytest.raises((MailNotSent, MailRefused, MailUncertain)):
        mailer().send("anna@example.com", "s", "b")
    assert [json.loads(line)["MailsRefused"] for line in lines] == [1] * counted


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (NOT_VERIFIED, NOT_VERIFIED),
        (
            NOT_VERIFIED.replace("shop@mercato.example", "Anna.O'Neill+x@example.com, shop@mercato.example"),
            NOT_VERIFIED.replace("shop@mercato.example", "‹recipient›, shop@mercato.example"),
        ),
        (
            "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: ses:SendEmail on resource: "
            "arn:aws:ses:eu-west-1:1:identity/anna@example.com",
            "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: ses:SendEmail on resource: "
            "arn:aws:ses:eu-west-1:1:identity/‹recipient›",
        ),
    ],
)
def test_an_answer_of_ses_is_told_without_the_recipient(
    monkeypatch: pytest.MonkeyPatch, message: str, told: str
) -> None:
    """The errors' texts are logged by the consumers and published as the reason of a mail that failed."""
    error = answered("MessageRejected", message=message)
    monkeypatch.setattr(aws, "client", lambda _, attempts=3: FakeSes(error))
    with pytest.raises(MailNotSent if "not verified" in message else MailRefused) as raised:
        mailer().send("anna@example.com", "s", "b")
    assert str(raised.value) == f"MessageRejected: {told}"


def test_botocore_does_not_send_again_by_itself(cloud: None) -> None:
    assert aws.client("sesv2", attempts=1).meta.config.retries["total_max_attempts"] == 1
    assert aws.client("sqs").meta.config.retries["total_max_attempts"] == 3


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answered("MessageRejected"), MailRefused),
        (answered("MessageRejected", message=NOT_VERIFIED), MailNotSent),
        (answered("BadRequestException"), MailRefused),
        (answered("MailFromDomainNotVerifiedException"), MailNotSent),
        (answered("AccountSuspendedException"), MailNotSent),
        (answered("NotFoundException", 404), MailNotSent),
        (answered("TooManyRequestsException", 429), MailNotSent),
        (answered("LimitExceededException"), MailNotSent),
        (answered("SendingPausedException"), MailNotSent),
        (answered("AccessDeniedException", 403), MailNotSent),
        (answered("InternalFailure", 500), MailUncertain),
        (EndpointConnectionError(endpoint_url="https://ses"), MailNotSent),
        (ReadTimeoutError(endpoint_url="https://ses"), MailUncertain),
    ],
)
def test_each_answer_says_whether_it_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    monkeypatch.setattr(aws, "client", lambda _, attempts=3: FakeSes(error))
    with pytest.raises(kind):
        mailer().send("anna@example.com", "s", "b")
