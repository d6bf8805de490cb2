"""What a shop on AWS lacks: each point in its good state, missing, and not readable.

AWS's responses come from botocore's Stubber, which checks them against AWS's own models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner
from moto import mock_aws

from documents.domain import Seller
from infra import cli
from infra.operator import doctor, target
from infra.operator.alarms import ringing_alarms
from infra.operator.doctor import Finding, Mark, Patient
from mercato.store.payload import pack

STACK, REGION = "mercato-prod", "eu-west-1"
API = "https://abc.execute-api.eu-west-1.amazonaws.com/prod/api"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:mercato-prod-alarms"
PARAMETERS = {
    "Environment": "prod",
    "FromAddress": "shop@flowers.example",
    "ShopUrl": "https://flowers.example",
    "ConsoleUrl": "https://console.flowers.example",
    "AllowedOrigins": "https://flowers.example",
    "PaymentProvider": "stripe",
    "StripePublishableKey": "pk_live_1",
}
OUTPUTS = {
    "ApiId": "abc",
    "ApiUrl": API,
    "AlarmTopicArn": TOPIC,
    "UsersTable": "users",
    "ProductsTable": "p",
    "ShippingTable": "s",
    "CheckoutTable": "c",
    "DocumentsTable": "d",
    "AuditTable": "audit",
}
Answers = list[tuple[str, dict[str, Any] | str]]  # an operation and its response, or the code of its error


def described(status: str = "UPDATE_COMPLETE", **parameters: str) -> dict[str, Any]:
    return {
        "StackStatus": status,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value} for name, value in (PARAMETERS | parameters).items()
        ],
        "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in OUTPUTS.items()],
    }


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Patient]]:
    """Makes a patient with AWS's responses by service, in the order of the calls. All of them must be made."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    stubs: list[Stubber] = []

    def make(
        answers: dict[str, Answers] | None = None,
        web: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(500),
        stack: dict[str, Any] | None = None,
    ) -> Patient:
        clients: dict[str, Any] = {}
        for service, given in (answers or {}).items():
            clients[service] = boto3.client(service, REGION)  # type: ignore[call-overload]
            stub = Stubber(clients[service])
            for operation, answer in given:
                if isinstance(answer, str):
                    stub.add_client_error(operation, answer, f"{answer}: no")
                else:
                    stub.add_response(operation, answer)
            stub.activate()
            stubs.append(stub)
        http = httpx.Client(transport=httpx.MockTransport(web))
        return Patient(STACK, REGION, clients.__getitem__, http, described() if stack is None else stack)

    yield make
    for stub in stubs:
        stub.assert_no_pending_responses()


def only(findings: Iterator[Finding]) -> Finding:
    [finding] = findings
    return finding


@pytest.mark.parametrize(("allowed", "mark"), [(10, Mark.MISSING), (999, Mark.MISSING), (1000, Mark.GOOD)])
def test_a_new_account_s_concurrency_is_too_low(patient: Callable[..., Patient], allowed: int, mark: Mark) -> None:
    answer = {"AccountLimit": {"ConcurrentExecutions": allowed}, "AccountUsage": {}}
    finding = only(doctor.look_at_concurrency(patient({"lambda": [("get_account_settings", answer)]})))
    assert finding.mark is mark
    assert ("--desired-value 1000 --region eu-west-1" in finding.remedy) is (mark is Mark.MISSING)


@pytest.mark.parametrize(
    ("allowed", "saga", "mark", "said"),
    [
        (1000, "20", Mark.GOOD, "170 of 1000 are for the authorizer, the relay and the saga, 830 for all others"),
        (1000, "202", Mark.GOOD, "898 of 1000"),
        (1000, "203", Mark.MISSING, "refuses to leave fewer than 100"),
        (150, "20", Mark.MISSING, "refuses to leave fewer than 100"),
    ],
)
def test_reservations_must_leave_what_lambda_keeps_for_the_others(
    patient: Callable[..., Patient], allowed: int, saga: str, mark: Mark, said: str
) -> None:
    answer = {"AccountLimit": {"ConcurrentExecutions": allowed}, "AccountUsage": {}}
    stack = described(AuthorizerConcurrency="50", RelayConcurrency="40", SagaConcurrency=saga)
    _, reserved = doctor.look_at_concurrency(patient({"lambda": [("get_account_settings", answer)]}, stack=stack))
    assert reserved.mark is mark
    assert said in reserved.detail


STREAM = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-11-29T00:00:00.000"


def shards(*ended: bool, after: str = "") -> dict[str, Any]:
    """The answer of DescribeStream with a shard for each of `ended`."""
    listed = [
        {"ShardId": f"{at:028}", "SequenceNumberRange": {"EndingSequenceNumber": "9" * 21} if one else {}}
        for at, one in enumerate(ended)
    ]
    return {"StreamDescription": {"Shards": listed} | ({"LastEvaluatedShardId": after} if after else {})}


@pytest.mark.parametrize(("reserved", "mark"), [("4", Mark.GOOD), ("3", Mark.MISSING)])
def test_the_relay_must_be_able_to_read_all_open_shards_at_once(
    patient: Callable[..., Patient], reserved: str, mark: Mark
) -> None:
    answers: dict[str, Answers] = {
        "lambda": [("list_event_source_mappings", {"EventSourceMappings": [{"EventSourceArn": STREAM}] * 2})],
        "dynamodbstreams": [
            ("describe_stream", shards(True, False, after="0" * 28)),
            ("describe_stream", shards(False)),
            ("describe_stream", shards(False, False, True)),
        ],
    }
    finding = only(doctor.look_at_relay(patient(answers, stack=described(RelayConcurrency=reserved))))
    assert finding.mark is mark
    assert finding.detail.startswith(f"{reserved} are reserved, and its streams have 4 open shards")
    assert ("RelayConcurrency=4" in finding.remedy) is (mark is Mark.MISSING)


def test_without_a_reservation_the_relay_has_no_limit_of_its_own(patient: Callable[..., Patient]) -> None:
    assert list(doctor.look_at_relay(patient())) == []


CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"


def domain(
    patient: Callable[..., Patient], status: str, answer: httpx.Response | None, **changed: str
) -> list[Finding]:
    def web(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "https://api.flowers.example/api/health"
        if answer is None:
            raise httpx.ConnectError("Name or service not known")
        return answer

    stack = described(**{"ApiDomain": "api.flowers.example", "ApiCertificateArn": CERTIFICATE} | changed)
    stack["Outputs"].append({"OutputKey": "ApiDomainTarget", "OutputValue": "d-1.execute-api.eu-west-1.amazonaws.com"})
    answers: Answers = [("describe_certificate", {"Certificate": {"Status": status}})] if status else []
    return list(doctor.look_at_api_domain(patient({"acm": answers}, web, stack)))


def test_a_domain_of_the_api_has_its_certificate_and_leads_to_the_api(patient: Callable[..., Patient]) -> None:
    ours = httpx.Response(200, headers={"X-Request-Id": "1"})
    assert [one.mark for one in domain(patient, "ISSUED", ours)] == [Mark.GOOD, Mark.GOOD]

    certificate, _ = domain(patient, "PENDING_VALIDATION", ours)
    assert (certificate.mark, certificate.detail) == (Mark.MISSING, "PENDING_VALIDATION")
    assert CERTIFICATE in certificate.remedy

    elsewhere = CERTIFICATE.replace("eu-west-1", "us-east-1")
    certificate, _ = domain(patient, "", ours, ApiCertificateArn=elsewhere)
    assert certificate.mark is Mark.MISSING
    assert "is not of eu-west-1" in certificate.detail


@pytest.mark.parametrize("answer", [None, httpx.Response(200, text="For sale!"), httpx.Response(403, json={})])
def test_a_domain_that_does_not_yet_lead_to_the_api_is_told_with_its_target(
    patient: Callable[..., Patient], answer: httpx.Response | None
) -> None:
    _, found = domain(patient, "ISSUED", answer)
    assert found.mark is Mark.MISSING
    assert "api.flowers.example a CNAME" in found.remedy
    assert found.remedy.endswith("of d-1.execute-api.eu-west-1.amazonaws.com")


def test_without_a_domain_and_a_firewall_nothing_is_said_of_them(patient: Callable[..., Patient]) -> None:
    assert [*doctor.look_at_api_domain(patient()), *doctor.look_at_firewall(patient())] == []


OUR_ACL = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/mercato-prod-api/1"


@pytest.mark.parametrize(
    ("mode", "acl", "mark", "said"),
    [
        ("block", OUR_ACL, Mark.GOOD, "it blocks"),
        ("count", OUR_ACL, Mark.GOOD, "it only counts"),
        ("block", "", Mark.MISSING, "no web ACL"),
        ("block", OUR_ACL.replace("prod-api", "prod-eu-api"), Mark.MISSING, "by other rules"),
    ],
)
def test_the_firewall_must_be_that_of_the_shop(
    patient: Callable[..., Patient], mode: str, acl: str, mark: Mark, said: str
) -> None:
    answers = {"apigateway": [("get_stage", {"webAclArn": acl} if acl else {})]}
    finding = only(doctor.look_at_firewall(patient(answers, stack=described(ApiWaf=mode))))
    assert finding.mark is mark
    assert said in finding.detail


@pytest.mark.parametrize(
    ("account", "mark"),
    [({}, Mark.MISSING), ({"cloudwatchRoleArn": "arn:aws:iam::123456789012:role/api-logs"}, Mark.GOOD)],
)
def test_api_gateway_needs_a_role_for_its_logs(
    patient: Callable[..., Patient], account: dict[str, str], mark: Mark
) -> None:
    finding = only(doctor.look_at_access_logs(patient({"apigateway": [("get_account", account)]})))
    assert finding.mark is mark
    assert ("infra/account.yaml" in finding.remedy) is (mark is Mark.MISSING)


@pytest.mark.parametrize(
    ("changed", "mark", "said"),
    [
        ({}, Mark.GOOD, "2.8 orders a second"),
        ({"ProductionAccessEnabled": False}, Mark.MISSING, "sandbox"),
        ({"SendingEnabled": False}, Mark.MISSING, "sends nothing"),
        ({"EnforcementStatus": "PROBATION"}, Mark.MISSING, "PROBATION"),
    ],
)
def test_ses_must_mail_to_anyone(
    patient: Callable[..., Patient], changed: dict[str, Any], mark: Mark, said: str
) -> None:
    account = {
        "ProductionAccessEnabled": True,
        "SendingEnabled": True,
        "EnforcementStatus": "HEALTHY",
        "SendQuota": {"MaxSendRate": 14.0, "Max24HourSend": 50000.0, "SentLast24Hours": 0.0},
    } | changed
    finding = only(doctor.look_at_mail_account(patient({"sesv2": [("get_account", account)]})))
    assert finding.mark is mark
    assert said in finding.detail


def test_in_dev_the_sandbox_of_ses_is_enough(patient: Callable[..., Patient]) -> None:
    account = {"ProductionAccessEnabled": False, "SendQuota": {"MaxSendRate": 1.0}}
    dev = patient({"sesv2": [("get_account", account)]}, stack=described(Environment="dev"))
    assert only(doctor.look_at_mail_account(dev)).mark is Mark.GOOD


@pytest.mark.parametrize(
    ("status", "mark"),
    [
        ("CREATE_COMPLETE", Mark.GOOD),
        ("UPDATE_COMPLETE", Mark.GOOD),
        ("UPDATE_IN_PROGRESS", Mark.UNKNOWN),
        ("ROLLBACK_FAILED", Mark.MISSING),
        ("UPDATE_ROLLBACK_COMPLETE", Mark.MISSING),
    ],
)
def test_a_deploy_that_failed_is_told(patient: Callable[..., Patient], status: str, mark: Mark) -> None:
    assert only(doctor.look_at_stack(patient(stack=described(status)))).mark is mark


@pytest.mark.parametrize("name", ["FromAddress", "ShopUrl", "ConsoleUrl", "AllowedOrigins"])
def test_a_placeholder_is_told_with_its_parameter(patient: Callable[..., Patient], name: str) -> None:
    found = doctor.look_at_parameters(patient(stack=described(**{name: "https://mercato.example"})))
    [finding] = [one for one in found if one.mark is not Mark.GOOD]
    assert finding.what == name
    assert "make deploy ENV=prod" in finding.remedy


GOOD_IDENTITY = {"VerifiedForSendingStatus": True, "DkimAttributes": {"Status": "SUCCESS"}}
UNSIGNED = {"VerifiedForSendingStatus": True, "DkimAttributes": {"Status": "NOT_STARTED"}}
PENDING = {"VerifiedForSendingStatus": False, "DkimAttributes": {"Status": "PENDING"}}


@pytest.mark.parametrize(
    ("domain", "address", "mark", "said"),
    [
        (GOOD_IDENTITY, "NotFoundException", Mark.GOOD, "flowers.example is verified"),
        ("NotFoundException", "NotFoundException", Mark.MISSING, "refuses every mail"),
        (PENDING, "NotFoundException", Mark.MISSING, "refuses every mail"),
        ("NotFoundException", UNSIGNED, Mark.MISSING, "not signed"),
        (UNSIGNED, "NotFoundException", Mark.MISSING, "not signed"),
    ],
)
def test_the_sender_must_be_verified_and_sign(
    patient: Callable[..., Patient], domain: Any, address: Any, mark: Mark, said: str
) -> None:
    answers = {"sesv2": [("get_email_identity", domain), ("get_email_identity", address)]}
    finding = only(doctor.look_at_sender(patient(answers)))
    assert finding.mark is mark
    assert said in finding.detail


def alarm_answers(*subscriptions: tuple[str, str], ringing: tuple[str, ...] = ()) -> dict[str, Answers]:
    listed = [{"Endpoint": endpoint, "SubscriptionArn": arn} for endpoint, arn in subscriptions]
    alarms = [{"AlarmName": name, "AlarmActions": [TOPIC]} for name in ringing]
    return {
        "sns": [("list_subscriptions_by_topic", {"Subscriptions": listed})],
        "cloudwatch": [("describe_alarms", {"MetricAlarms": alarms})],
    }


def test_alarms_must_be_heard(patient: Callable[..., Patient]) -> None:
    heard = alarm_answers(("ops@flowers.example", f"{TOPIC}:1"))
    assert [one.mark for one in doctor.look_at_alarms(patient(heard))] == [Mark.GOOD, Mark.GOOD]

    waiting, _ = doctor.look_at_alarms(patient(alarm_answers(("ops@flowers.example", "PendingConfirmation"))))
    assert waiting.mark is Mark.MISSING
    assert "--notification-endpoint ops@flowers.example" in waiting.remedy

    unheard, ringing = doctor.look_at_alarms(patient(alarm_answers(ringing=("mercato-prod-stuck",))))
    assert "AlarmEmail" in unheard.remedy
    assert ringing.mark is Mark.MISSING
    assert "mercato-prod-stuck" in ringing.detail


def test_in_dev_nobody_need_hear_the_alarms(patient: Callable[..., Patient]) -> None:
    receivers, _ = doctor.look_at_alarms(patient(alarm_answers(), stack=described(Environment="dev")))
    assert receivers.mark is Mark.GOOD


def test_an_alarm_of_another_shop_does_not_ring_here() -> None:
    """Its stack's name may begin with this one's, and so the alarm's. A part of a composite alarm has no action."""
    cloudwatch: Any = boto3.client("cloudwatch", REGION)
    theirs = TOPIC.replace("mercato-prod", "mercato-prod-eu")
    with Stubber(cloudwatch) as stub:
        stub.add_response(
            "describe_alarms",
            {
                "MetricAlarms": [
                    {"AlarmName": "mercato-prod-Relay-1-RelayStuck-2", "AlarmActions": [TOPIC]},
                    {"AlarmName": "mercato-prod-eu-Relay-1-RelayStuck-2", "AlarmActions": [theirs]},
                    {"AlarmName": "mercato-prod-Watch-1-OrdersLateFastLong-2", "AlarmActions": []},
                ],
                "CompositeAlarms": [{"AlarmName": "mercato-prod-orders-late", "AlarmActions": [TOPIC]}],
            },
            # Without the types, CloudWatch lists metric alarms alone.
            {
                "StateValue": "ALARM",
                "AlarmNamePrefix": "mercato-prod-",
                "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],
            },
        )
        ringing = ringing_alarms(cloudwatch, STACK, TOPIC)
    assert ringing == ["mercato-prod-Relay-1-RelayStuck-2", "mercato-prod-orders-late"]


@pytest.mark.parametrize(
    ("state", "found"), [("begun", [Mark.MISSING]), ("written", [Mark.MISSING]), ("complete", []), (None, [])]
)
def test_a_restore_that_was_interrupted_is_told_with_the_command_that_goes_on(
    patient: Callable[..., Patient], state: str | None, found: list[Mark]
) -> None:
    item = {"backup": {"S": "sha"}, "state": {"S": state}, "run": {"S": "1"}, "functions": {"S": "{}"}}
    answers: dict[str, Answers] = {"dynamodb": [("get_item", {"Item": item} if state else {})]}
    findings = list(doctor.look_at_restore(patient(answers)))
    assert [one.mark for one in findings] == found
    assert all(one.remedy.startswith("mercato --stack mercato-prod restore ") for one in findings)


def functions(architecture: str, made_for: list[str]) -> dict[str, Answers]:
    layer = "arn:aws:lambda:eu-west-1:123456789012:layer:mercato-prod-common:1"
    ours, other = ({"Variables": {"METRICS_NAMESPACE": f"Mercato/{shop}"}} for shop in (STACK, f"{STACK}-eu"))
    about = {"Architectures": [architecture], "Layers": [{"Arn": layer}]}
    listed = [
        {"FunctionName": f"{STACK}-orders-api", "Environment": ours, **about},
        {"FunctionName": f"{STACK}-eu-orders-api", "Environment": other, **about},
    ]
    return {
        "lambda": [
            ("list_functions", {"Functions": listed}),
            ("get_layer_version_by_arn", {"CompatibleArchitectures": made_for}),
        ]
    }


def test_a_layer_for_another_processor_is_told_with_its_functions(patient: Callable[..., Patient]) -> None:
    assert only(doctor.look_at_functions(patient(functions("x86_64", ["x86_64"])))).detail.startswith("1, each")
    finding = only(doctor.look_at_functions(patient(functions("x86_64", ["arm64"]))))
    assert finding.mark is Mark.MISSING
    assert "mercato-prod-orders-api" in finding.detail


@pytest.mark.parametrize(
    ("products", "keys", "marks"),
    [
        (200, ["a", "b"], {"the API": Mark.GOOD, "signing keys": Mark.GOOD}),
        (200, [], {"the API": Mark.GOOD, "signing keys": Mark.MISSING}),
        (502, ["a"], {"the API": Mark.MISSING}),
    ],
)
def test_the_api_must_answer_and_have_keys(
    patient: Callable[..., Patient], products: int, keys: list[str], marks: dict[str, Mark]
) -> None:
    def web(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/prod/api/.well-known/jwks.json":
            return httpx.Response(200, json={"keys": keys})
        assert str(request.url) == f"{API}/products?limit=1"
        return httpx.Response(products, json={})

    assert {one.what: one.mark for one in doctor.look_at_api(patient(web=web))} == marks


def test_an_api_that_cannot_be_reached_is_told_with_its_host(patient: Callable[..., Patient]) -> None:
    def web(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Name or service not known")

    finding = only(doctor.look_at_api(patient(web=web)))
    assert finding.mark is Mark.MISSING
    assert "abc.execute-api.eu-west-1.amazonaws.com does not answer: Name or service not known" in finding.detail


def test_a_host_that_leads_to_another_site_is_told(patient: Callable[..., Patient]) -> None:
    def web(request: httpx.Request) -> httpx.Response:
        is_ours = request.url.host == "flowers.example"
        return httpx.Response(200, headers={"X-Request-Id": "1"} if is_ours else {}, text="For sale!")

    shop, console = doctor.look_at_sites(patient(web=web))
    assert (shop.what, shop.mark) == ("the storefront", Mark.GOOD)
    assert (console.what, console.mark) == ("the console", Mark.MISSING)
    assert "For sale!" in console.detail


def stripe_answers(*values: dict[str, Any] | str) -> dict[str, Answers]:
    tags = [{"Key": "shop", "Value": STACK}]
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
    listed = [
        {"Name": "StripeKey-AbCd", "ARN": f"{arn}key", "Tags": tags},
        {"Name": "StripeWebhookSecret-EfGh", "ARN": f"{arn}hook", "Tags": tags},
        {"Name": "StripeKey-Ijkl", "ARN": f"{arn}other", "Tags": [{"Key": "shop", "Value": "mercato-dev"}]},
    ]
    reads: Answers = [("get_secret_value", value) for value in values]
    return {"secretsmanager": [("list_secrets", {"SecretList": listed}), *reads]}


@pytest.mark.parametrize(
    ("status", "endpoints", "mark", "said"),
    [
        (200, [(f"{API}/payments/webhooks/stripe", "enabled", ["*"])], Mark.GOOD, API),
        (
            200,
            [
                (
                    f"{API}/payments/webhooks/stripe",
                    "enabled",
                    ["charge.captured", "refund.failed", "payment_intent.succeeded"],
                )
            ],
            Mark.GOOD,
            API,
        ),
        (200, [(f"{API}/payments/webhooks/stripe", "enabled", ["charge.captured"])], Mark.MISSING, "payment_intent.*"),
        (200, [(f"{API}/payments/webhooks/stripe", "disabled", ["*"])], Mark.MISSING, "no enabled webhook"),
        (200, [(API.replace("/prod", "") + "/payments/webhooks/stripe", "enabled", ["*"])], Mark.MISSING, "/prod/api"),
        (401, [], Mark.MISSING, "does not know the key"),
        (403, [], Mark.UNKNOWN, "403"),
    ],
)
def test_stripe_must_have_the_shop_s_webhook(
    patient: Callable[..., Patient], status: int, endpoints: list[tuple[str, str, list[str]]], mark: Mark, said: str
) -> None:
    def web(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Bearer sk_live_1"
        data = [{"url": url, "status": state, "enabled_events": events} for url, state, events in endpoints]
        return httpx.Response(status, json={"data": data})

    answers = stripe_answers({"SecretString": "sk_live_1"}, {"SecretString": "whsec_1"})
    *_, webhook = doctor.look_at_stripe(patient(answers, web))
    assert webhook.mark is mark
    assert said in webhook.detail
    assert "sk_live_1" not in repr(webhook)


def test_stripe_may_call_the_api_by_its_own_domain(patient: Callable[..., Patient]) -> None:
    url = "https://api.flowers.example/api/payments/webhooks/stripe"

    def web(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"url": url, "status": "enabled", "enabled_events": ["*"]}]})

    answers = stripe_answers({"SecretString": "sk_live_1"}, {"SecretString": "whsec_1"})
    *_, webhook = doctor.look_at_stripe(patient(answers, web, described(ApiDomain="api.flowers.example")))
    assert (webhook.mark, webhook.detail) == (Mark.GOOD, url)


def test_a_secret_without_a_value_is_told_with_the_command(patient: Callable[..., Patient]) -> None:
    answers = stripe_answers("ResourceNotFoundException", {"SecretString": "whsec_1"})
    key, hook = doctor.look_at_stripe(patient(answers))
    assert key.mark is Mark.MISSING
    assert "put-secret-value --secret-id arn:aws:secretsmanager:eu-west-1:123456789012:secret:key " in key.remedy
    assert hook.mark is Mark.GOOD


def test_prod_must_take_money(patient: Callable[..., Patient]) -> None:
    assert only(doctor.look_at_stripe(patient(stack=described(PaymentProvider="sandbox")))).mark is Mark.MISSING
    dev = patient(stack=described(PaymentProvider="sandbox", Environment="dev"))
    assert list(doctor.look_at_stripe(dev)) == []


def easypost_answers(value: dict[str, Any] | str, name: str = "EasyPostKey-AbCd") -> dict[str, Answers]:
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:easypost"
    listed = [{"Name": name, "ARN": arn, "Tags": [{"Key": "shop", "Value": STACK}]}]
    return {"secretsmanager": [("list_secrets", {"SecretList": listed}), ("get_secret_value", value)]}


@pytest.mark.parametrize(
    ("status", "webhooks", "mark", "said"),
    [
        (200, [(f"{API}/shipments/webhooks/easypost", None)], Mark.GOOD, API),
        (200, [(f"{API}/shipments/webhooks/easypost", "2026-11-01T00:00:00Z")], Mark.MISSING, "switched it off"),
        (200, [("https://other.example/shipments/webhooks/easypost", None)], Mark.MISSING, "has no webhook for"),
        (401, [], Mark.MISSING, "does not know the key"),
        (503, [], Mark.UNKNOWN, "503"),
    ],
)
def test_easypost_must_have_the_shop_s_webhook(
    patient: Callable[..., Patient], status: int, webhooks: list[tuple[str, str | None]], mark: Mark, said: str
) -> None:
    def web(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"] == "Basic RVpBS19saXZlOg=="  # EZAK_live and a colon
        found = [{"url": url, "mode": "production", "disabled_at": disabled} for url, disabled in webhooks]
        return httpx.Response(status, json={"webhooks": found})

    answers = easypost_answers({"SecretString": "EZAK_live"})
    key, webhook = doctor.look_at_carrier(patient(answers, web, described(Carrier="easypost")))
    assert (key.mark, webhook.mark) == (Mark.GOOD, mark)
    assert said in webhook.detail
    assert "EZAK_live" not in repr(webhook)


def test_on_the_local_cloud_the_stand_in_of_easypost_is_asked(patient: Callable[..., Patient]) -> None:
    asked: list[str] = []

    def web(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"webhooks": []})

    answers = easypost_answers({"SecretString": "EZTK_x"}, "mercato-Shipping-1A2B-EasyPostKey-AbCd")
    stack = described(Carrier="easypost", EasyPostApi="http://localhost:8430")
    assert len(list(doctor.look_at_carrier(patient(answers, web, stack)))) == 2
    assert asked == ["http://localhost:8430/v2/webhooks"]


def test_easyposts_key_must_be_there_and_in_prod_be_no_test_key(patient: Callable[..., Patient]) -> None:
    found = doctor.look_at_carrier(
        patient(easypost_answers("ResourceNotFoundException"), stack=described(Carrier="easypost"))
    )
    assert "put-secret-value --secret-id arn:aws:secretsmanager" in only(found).remedy

    def web(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"webhooks": []})

    answers = easypost_answers({"SecretString": "EZTK_test"})
    key, _ = doctor.look_at_carrier(patient(answers, web, described(Carrier="easypost")))
    assert (key.mark, "test key" in key.detail) == (Mark.MISSING, True)
    assert list(doctor.look_at_carrier(patient(stack=described(Carrier="manual")))) == []


def test_an_admin_is_looked_for_in_all_pages(patient: Callable[..., Patient]) -> None:
    key = {"pk": {"S": "USER#1"}}
    first: dict[str, Any] = {"Items": [], "LastEvaluatedKey": key}
    found = patient({"dynamodb": [("scan", first), ("scan", {"Items": [key]})]})
    assert only(doctor.look_at_admin(found)).mark is Mark.GOOD
    missing = only(doctor.look_at_admin(patient({"dynamodb": [("scan", {"Items": []})]})))
    assert "mercato --stack mercato-prod users promote" in missing.remedy


def test_a_product_in_another_currency_than_the_shop_s_is_named(patient: Callable[..., Patient]) -> None:
    stack = described(Currency="EUR")
    nothing: dict[str, Any] = {"Items": []}
    assert only(doctor.look_at_prices(patient({"dynamodb": [("scan", nothing)]}, stack=stack))).mark is Mark.GOOD
    other = {"Items": [{"sku": {"S": "MUG"}, "currency": {"S": "GBP"}}]}
    first = {"Items": [], "LastEvaluatedKey": {"pk": {"S": "PRODUCT#1"}}}
    found = only(doctor.look_at_prices(patient({"dynamodb": [("scan", first), ("scan", other)]}, stack=stack)))
    assert found.mark is Mark.MISSING
    assert "MUG" in found.detail
    assert "GBP, not in EUR" in found.detail


@pytest.mark.parametrize(
    ("currency", "mark", "said"),
    [("", Mark.MISSING, "still the example"), ("EUR", Mark.GOOD, "version 3"), ("GBP", Mark.MISSING, "sells in EUR")],
)
def test_rates_that_are_the_example_or_in_another_currency_are_told(
    patient: Callable[..., Patient], currency: str, mark: Mark, said: str
) -> None:
    table = pack({"version": 3, "currency": currency, "zones": ["x" * 5000]})
    item = {"table": {"B": table} if isinstance(table, bytes) else {"S": table}}
    answers = {"dynamodb": [("query", {"Items": [item] if currency else []})]}
    found = only(doctor.look_at_rates(patient(answers, stack=described(Currency="EUR"))))
    assert found.mark is mark
    assert said in found.detail


@pytest.mark.parametrize(
    ("rates", "mark", "said"),
    [
        (None, Mark.MISSING, "still the example"),
        ([], Mark.MISSING, "no order can be placed"),
        (["a rate"], Mark.GOOD, "version 3"),
    ],
)
def test_tax_rates_that_are_the_example_or_none_are_told(
    patient: Callable[..., Patient], rates: list[str] | None, mark: Mark, said: str
) -> None:
    items = [] if rates is None else [{"rates": {"S": json.dumps(rates)}, "version": {"N": "3"}}]
    found = only(doctor.look_at_taxes(patient({"dynamodb": [("query", {"Items": items})]})))
    assert found.mark is mark
    assert said in found.detail
    assert (found.remedy == "set them in the console, under Tax rates") is (mark is not Mark.GOOD)


@pytest.mark.parametrize(
    ("seller", "mark", "said"),
    [
        (None, Mark.MISSING, "still the example"),
        ({"address": []}, Mark.MISSING, "Flowers Ltd has no address"),
        ({"tax_id": None}, Mark.GOOD, "Flowers Ltd, without a VAT number, version 2"),
        ({}, Mark.GOOD, "Flowers Ltd, version 2"),
    ],
)
def test_a_seller_whom_no_invoice_may_name_is_told(
    patient: Callable[..., Patient], seller: dict[str, Any] | None, mark: Mark, said: str
) -> None:
    whole = Seller(name="Flowers Ltd", address=["1 Quay"], tax_id="GB 1").model_dump(mode="json")
    record = pack({"version": 2, "seller": whole | (seller or {})})
    items = [] if seller is None else [{"record": {"B": record} if isinstance(record, bytes) else {"S": record}}]
    found = only(doctor.look_at_seller(patient({"dynamodb": [("query", {"Items": items})]})))
    assert (found.mark, found.detail.startswith(said) or said in found.detail) == (mark, True)


def test_what_aws_refuses_to_show_is_unknown_and_the_rest_is_looked_at(patient: Callable[..., Patient]) -> None:
    refused = patient(
        {
            "lambda": [("get_account_settings", "AccessDeniedException")],
            "apigateway": [("get_account", "AccessDeniedException")],
            "sesv2": [("get_account", "AccessDeniedException")],
        },
        stack={},
    )
    nowhere = Patient(refused.name, refused.region, refused.client, refused.http, None)
    concurrency, logs, mails, stack = doctor.examine(nowhere)
    assert (concurrency.mark, logs.mark, mails.mark) == (Mark.UNKNOWN,) * 3
    assert "lack the permission GetAccountSettings" in concurrency.detail
    assert stack.mark is Mark.MISSING


def test_no_stack_is_told_from_a_refusal(patient: Callable[..., Patient]) -> None:
    with mock_aws():
        assert doctor.describe(boto3.client("cloudformation", REGION), STACK) is None


@pytest.mark.parametrize("mark", Mark)
def test_the_command_ends_with_1_if_anything_is_not_good(monkeypatch: pytest.MonkeyPatch, mark: Mark) -> None:
    findings = [Finding("the API", Mark.GOOD, "yes"), Finding("an admin", mark, "[none]", "promote one")]
    monkeypatch.setattr(doctor, "examine", lambda _: iter(findings))
    monkeypatch.setattr(target, "choice", target.Choice())
    with mock_aws():
        told = CliRunner().invoke(cli.main, ["--stack", STACK, "--region", REGION, "doctor"])
        as_json = CliRunner().invoke(cli.main, ["--stack", STACK, "--region", REGION, "doctor", "--json"])
    assert told.exit_code == as_json.exit_code == (0 if mark is Mark.GOOD else 1)
    assert "[none]" in told.output
    assert ("promote one" in told.output) is (mark is not Mark.GOOD)
    assert [one["mark"] for one in json.loads(as_json.output)] == ["good", mark.value]


def test_a_shop_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "choice", target.Choice())
    assert CliRunner().invoke(cli.main, ["doctor"]).exit_code == 2
