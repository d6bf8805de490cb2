"""`mercato doctor`: checks what a shop on AWS needs before its first order, and prints the command for each finding.

It only reads, with the operator's own AWS credentials. docs/going-live.md has the same points in the same order.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import boto3
import click
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.operator import target
from infra.operator.alarms import ringing_alarms
from infra.operator.backup.mark import Marks
from infra.operator.backup.mark import State as RestoreState
from infra.operator.refusals import explain
from mercato.store.payload import unpack

CONCURRENCY = 1000  # Lambda's default quota; a new account has less
UNRESERVED = 100  # what Lambda keeps for functions without a reservation
SAGA_FUNCTIONS = 4
MAILS_AN_ORDER = 5  # of a guest; one of an account sends four
_PLACEHOLDER = "mercato.example"  # the default domain of addresses and hosts, which does not exist
_STRIPE = "https://api.stripe.com"
_EASYPOST = "https://api.easypost.com"
_EASYPOST_TEST_KEY = "EZTK"
_STRIPE_EVENTS = ("payment_intent.", "charge.", "refund.")
_PAGES = 50  # of a table that are searched
_CURRENCY = "GBP"  # of a stack that was deployed before it had the parameter
_CONFIG = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4})


class Mark(StrEnum):
    GOOD = "good"
    MISSING = "missing"
    UNKNOWN = "unknown"  # the check failed, such as without a permission


@dataclass(frozen=True)
class Finding:
    """The result of one check. `remedy` is a command or a place to look, and empty if there is nothing to do."""

    what: str
    mark: Mark
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Patient:
    """The stack to check. `client` creates AWS clients.

    `stack` is CloudFormation's description of the root stack, or None if it does not exist. `url` replaces the API's
    URL.
    """

    name: str
    region: str
    client: Callable[[str], Any]
    http: httpx.Client
    stack: Mapping[str, Any] | None
    url: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        return {one["ParameterKey"]: one.get("ParameterValue", "") for one in (self.stack or {}).get("Parameters", [])}

    @property
    def outputs(self) -> dict[str, str]:
        return {one["OutputKey"]: one["OutputValue"] for one in (self.stack or {}).get("Outputs", [])}

    @property
    def environment(self) -> str:
        return self.parameters.get("Environment", "")

    @property
    def api(self) -> str:
        """The API's URL with the path /api."""
        return self.url.rstrip("/").removesuffix("/api") + "/api" if self.url else self.outputs["ApiUrl"]


Check = Callable[[Patient], Iterator[Finding]]


def look_at_concurrency(patient: Patient) -> Iterator[Finding]:
    what = "Lambda's concurrency"
    allowed = patient.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    if allowed >= CONCURRENCY:
        yield Finding(what, Mark.GOOD, f"{allowed} at once")
    else:
        yield Finding(
            what,
            Mark.MISSING,
            f"the account runs {allowed} functions at once, and the shop is made for {CONCURRENCY}",
            "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 "
            f"--desired-value {CONCURRENCY} --region {patient.region}",
        )
    authorizer, relay, saga = (
        int(patient.parameters.get(f"{name}Concurrency") or 0) for name in ("Authorizer", "Relay", "Saga")
    )
    if not (reserved := authorizer + relay + SAGA_FUNCTIONS * saga):
        return
    what, said = "reserved concurrency", f"{reserved} of {allowed} are for the authorizer, the relay and the saga"
    if reserved > allowed - UNRESERVED:
        yield Finding(
            what,
            Mark.MISSING,
            f"{said}, and Lambda refuses to leave fewer than {UNRESERVED} for all other functions",
            f"a higher quota, or at most {max(allowed - UNRESERVED, 0)} reserved in samconfig.toml: docs/going-live.md",
        )
    else:
        yield Finding(what, Mark.GOOD, f"{said}, {allowed - reserved} for all others")


def look_at_mail_account(patient: Patient) -> Iterator[Finding]:
    what = "SES mails to anyone"
    account = patient.client("sesv2").get_account()
    rate = account["SendQuota"]["MaxSendRate"]
    if not account["ProductionAccessEnabled"] and patient.environment == "dev":
        detail = "the account is in SES's sandbox, which is enough for dev: verify each recipient, docs/going-live.md"
        yield Finding(what, Mark.GOOD, detail)
    elif not account["ProductionAccessEnabled"]:
        yield Finding(
            what,
            Mark.MISSING,
            "the account is in SES's sandbox: it mails to verified addresses alone, so that no customer can log in",
            f"aws sesv2 put-account-details --production-access-enabled --mail-type TRANSACTIONAL --region "
            f"{patient.region} --website-url <your shop> --use-case-description <what you mail, and to whom>",
        )
    elif not account["SendingEnabled"] or account["EnforcementStatus"] != "HEALTHY":
        yield Finding(
            what,
            Mark.MISSING,
            f"SES sends nothing for this account, or will soon stop: its status is {account['EnforcementStatus']}",
            "look at the account's page in the SES console, which says why",
        )
    else:
        detail = f"{rate:g} mails a second: enough for {rate / MAILS_AN_ORDER:.1f} orders a second"
        yield Finding(what, Mark.GOOD, detail)


def look_at_access_logs(patient: Patient) -> Iterator[Finding]:
    what = "the API's access log"
    role = patient.client("apigateway").get_account().get("cloudwatchRoleArn")
    if role:
        yield Finding(what, Mark.GOOD, f"API Gateway writes as {role.rpartition('/')[2]}")
    else:
        yield Finding(
            what,
            Mark.MISSING,
            "API Gateway has no role in this region with which it writes logs: the deploy fails at ApiStage",
            "aws cloudformation deploy --template-file infra/account.yaml --stack-name mercato-account "
            f"--capabilities CAPABILITY_IAM --region {patient.region}",
        )


def look_at_stack(patient: Patient) -> Iterator[Finding]:
    what = "the stack"
    if patient.stack is None:
        where = f"there is no stack {patient.name} in {patient.region}"
        yield Finding(what, Mark.MISSING, where, "make deploy ENV=<dev or prod>, as samconfig.toml names it")
        return
    status = patient.stack["StackStatus"]
    if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        yield Finding(what, Mark.GOOD, status)
    elif status.endswith("_IN_PROGRESS"):
        yield Finding(what, Mark.UNKNOWN, f"{status}: a deploy is under way", "wait for its end, then ask again")
    else:
        yield Finding(
            what,
            Mark.MISSING,
            f"{status}: the last deploy failed",
            f"aws cloudformation describe-stack-events --stack-name {patient.name} --region {patient.region}; "
            "docs/runbook.md says how to go on",
        )


def look_at_restore(patient: Patient) -> Iterator[Finding]:
    """Finds a restore that was interrupted, which leaves the shop closed."""
    mark = Marks(patient.client("dynamodb"), patient.outputs["AuditTable"]).read()
    if mark is not None and mark.state is not RestoreState.COMPLETE:
        yield Finding(
            "a restore",
            Mark.MISSING,
            f"it was begun and has not ended ({mark.state}): until it has, no function of the shop runs",
            f"mercato --stack {patient.name} restore <the same backup> goes on where it was, if no other run does so",
        )


def look_at_parameters(patient: Patient) -> Iterator[Finding]:
    for name in ("FromAddress", "ShopUrl", "ConsoleUrl", "AllowedOrigins"):
        value = patient.parameters.get(name, "")
        if _PLACEHOLDER in value or not value:
            yield Finding(
                name,
                Mark.MISSING,
                f"it is the placeholder {value!r}",
                f'put "{name}=<yours>" into samconfig.toml, and make deploy ENV={patient.environment}',
            )
        else:
            yield Finding(name, Mark.GOOD, value)


def look_at_sender(patient: Patient) -> Iterator[Finding]:
    """Checks that SES has verified the sender's address or domain. A domain is better: SES signs its mails (DKIM)."""
    what, address = "the sender of mails", patient.parameters.get("FromAddress", "")
    if _PLACEHOLDER in address or not address:
        return  # look_at_parameters reports the placeholder
    domain = address.rpartition("@")[2]
    found = {name: _identity(patient.client("sesv2"), name) for name in (domain, address)}
    verified = [name for name, identity in found.items() if identity and identity["VerifiedForSendingStatus"]]
    if not verified:
        yield Finding(
            what,
            Mark.MISSING,
            f"SES has verified neither {address} nor {domain}, and refuses every mail",
            f"aws sesv2 create-email-identity --email-identity {domain} --region {patient.region}; then publish the "
            "DKIM records that it answers in the domain's DNS",
        )
        return
    signed = (found[domain] or {}).get("DkimAttributes", {}).get("Status") == "SUCCESS"
    if signed:
        yield Finding(what, Mark.GOOD, f"{verified[0]} is verified, and its mails are signed (DKIM)")
    else:
        yield Finding(
            what,
            Mark.MISSING,
            f"{verified[0]} is verified, but mails are not signed for {domain} (DKIM): large providers hide them",
            f"aws sesv2 get-email-identity --email-identity {domain} --region {patient.region} shows the DNS records",
        )


def _identity(ses: Any, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = ses.get_email_identity(EmailIdentity=name)
    except ses.exceptions.NotFoundException:
        return None
    return found


def look_at_alarms(patient: Patient) -> Iterator[Finding]:
    what, topic = "receivers of the alarms", patient.outputs["AlarmTopicArn"]
    pages = patient.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    subscriptions = [one for page in pages for one in page["Subscriptions"]]
    waiting = [one["Endpoint"] for one in subscriptions if one["SubscriptionArn"] == "PendingConfirmation"]
    confirmed = [one["Endpoint"] for one in subscriptions if one["Endpoint"] not in waiting]
    if waiting:
        detail = f"{', '.join(waiting)} has not followed the link in AWS's mail, and hears nothing"
        remedy = f"follow it, or have it sent again: aws sns subscribe --topic-arn {topic} --protocol email"
        yield Finding(what, Mark.MISSING, detail, f"{remedy} --notification-endpoint {waiting[0]}")
    elif confirmed:
        yield Finding(what, Mark.GOOD, ", ".join(confirmed))
    elif patient.environment == "dev":
        yield Finding(what, Mark.GOOD, "none, which only prod requires")
    else:
        yield Finding(
            what,
            Mark.MISSING,
            "the topic has no subscription, so an alarm reaches no mailbox",
            f'put "AlarmEmail=<yours>" into samconfig.toml, and make deploy ENV={patient.environment}',
        )
    if names := ringing_alarms(patient.client("cloudwatch"), patient.name, topic):
        yield Finding("alarms", Mark.MISSING, f"ringing now: {', '.join(names)}", "docs/runbook.md has each")
    else:
        yield Finding("alarms", Mark.GOOD, "none rings")


def look_at_functions(patient: Patient) -> Iterator[Finding]:
    """Finds functions that cannot start or whose layer is built for another processor."""
    what, aws_lambda = "the functions", patient.client("lambda")
    pages = aws_lambda.get_paginator("list_functions").paginate()
    functions = [one for page in pages for one in page["Functions"] if target.is_of(patient.name, one)]
    layers = {layer["Arn"] for one in functions for layer in one.get("Layers", [])}
    made_for = {arn: aws_lambda.get_layer_version_by_arn(Arn=arn).get("CompatibleArchitectures") for arn in layers}
    wrong = sorted(
        one["FunctionName"]
        for one in functions
        for layer in one.get("Layers", [])
        if made_for[layer["Arn"]] and one["Architectures"][0] not in made_for[layer["Arn"]]
    )
    if not functions:
        yield Finding(what, Mark.MISSING, f"no function is of {patient.name}", "look at the stack's events")
    elif wrong:
        detail = f"the layer of {', '.join(wrong)} is for another processor: they cannot start"
        yield Finding(what, Mark.MISSING, detail, f"make deploy ENV={patient.environment}")
    else:
        yield Finding(what, Mark.GOOD, f"{len(functions)}, each with a layer for its processor")


def look_at_relay(patient: Patient) -> Iterator[Finding]:
    """Checks that the relay may read all shards of its streams at once. Without a reservation there is no limit."""
    reserved = int(patient.parameters.get("RelayConcurrency") or 0)
    if not reserved:
        return
    what, streams = "the relay's concurrency", patient.client("dynamodbstreams")
    pages = patient.client("lambda").get_paginator("list_event_source_mappings")
    shards = sum(
        _open_shards(streams, mapping["EventSourceArn"])
        for page in pages.paginate(FunctionName=f"{patient.name}-relay:live")
        for mapping in page["EventSourceMappings"]
    )
    said = f"{reserved} are reserved, and its streams have {shards} open shards"
    if reserved < shards:
        remedy = f'put "RelayConcurrency={shards}" or more into samconfig.toml, make deploy ENV={patient.environment}'
        yield Finding(what, Mark.MISSING, f"{said}: some wait for others, and events are published late", remedy)
    else:
        yield Finding(what, Mark.GOOD, said)


def _open_shards(streams: Any, arn: str) -> int:
    count = 0
    after: dict[str, str] = {}
    while True:
        described = streams.describe_stream(StreamArn=arn, **after)["StreamDescription"]
        count += sum("EndingSequenceNumber" not in one["SequenceNumberRange"] for one in described["Shards"])
        if "LastEvaluatedShardId" not in described:
            return count
        after = {"ExclusiveStartShardId": described["LastEvaluatedShardId"]}


def look_at_api(patient: Patient) -> Iterator[Finding]:
    what = "the API"
    answer = _get(patient, patient.api + "/products?limit=1")
    if isinstance(answer, str) or answer.status_code != 200:
        yield Finding(what, Mark.MISSING, _told(patient.api, answer), f"the logs of {patient.name}-products-api")
        return
    yield Finding(what, Mark.GOOD, patient.api)
    keys = _get(patient, patient.api + "/.well-known/jwks.json")
    if isinstance(keys, str) or keys.status_code != 200:
        detail = _told("the address of the public keys", keys)
        yield Finding("signing keys", Mark.MISSING, detail, f"the logs of {patient.name}-users-api")
    elif not keys.json().get("keys"):
        remedy = f"mercato --stack {patient.name} users rotate-keys"
        yield Finding("signing keys", Mark.MISSING, "there are none, so no log-in succeeds", remedy)
    else:
        yield Finding("signing keys", Mark.GOOD, f"{len(keys.json()['keys'])} published")


def look_at_api_domain(patient: Patient) -> Iterator[Finding]:
    """Checks the certificate of the API's own domain, and that its DNS name leads to the API."""
    what, domain = "the API's domain", patient.parameters.get("ApiDomain", "")
    if not domain:
        return
    certificate = patient.parameters.get("ApiCertificateArn", "")
    if certificate.split(":")[3:4] != [patient.region]:
        detail = f"{certificate} is not of {patient.region}, where the domain looks for it"
        yield Finding("the API's certificate", Mark.MISSING, detail, f"make it in {patient.region}: docs/going-live.md")
    else:
        status = patient.client("acm").describe_certificate(CertificateArn=certificate)["Certificate"]["Status"]
        remedy = (
            f"aws acm describe-certificate --certificate-arn {certificate} --region {patient.region} shows the DNS "
        )
        mark = Mark.GOOD if status == "ISSUED" else Mark.MISSING
        yield Finding(
            "the API's certificate", mark, status, "" if mark is Mark.GOOD else remedy + "record that proves it"
        )
    answer = _get(patient, f"https://{domain}/api/health")
    if not isinstance(answer, str) and answer.status_code == 200 and "x-request-id" in answer.headers:
        yield Finding(what, Mark.GOOD, domain)
    else:
        target_name = patient.outputs.get("ApiDomainTarget", "the output ApiDomainTarget")
        remedy = f"in the DNS, make {domain} a CNAME, or an alias of Route 53, of {target_name}"
        yield Finding(what, Mark.MISSING, _told(domain, answer), remedy)


def look_at_firewall(patient: Patient) -> Iterator[Finding]:
    what, mode = "the API's firewall", patient.parameters.get("ApiWaf", "none")
    if mode == "none":
        return
    api, stage = patient.outputs["ApiId"], patient.environment
    acl = patient.client("apigateway").get_stage(restApiId=api, stageName=stage).get("webAclArn", "")
    if f"/webacl/{patient.name}-api/" not in acl:
        detail = f"the stage has {acl or 'no web ACL'}, and not that of the shop: nothing is checked, or by other rules"
        yield Finding(what, Mark.MISSING, detail, f"make deploy ENV={patient.environment} associates it")
    elif mode == "count":
        yield Finding(what, Mark.GOOD, "it only counts: see what it would refuse in WAF's console, then ApiWaf=block")
    else:
        yield Finding(what, Mark.GOOD, "it blocks")


def look_at_sites(patient: Patient) -> Iterator[Finding]:
    for name, parameter, path in (("the storefront", "ShopUrl", "/"), ("the console", "ConsoleUrl", "/console/login")):
        address = patient.parameters.get(parameter, "").rstrip("/")
        if _PLACEHOLDER in address or not address:
            continue  # look_at_parameters reports the placeholder
        answer = _get(patient, address + path)
        if not isinstance(answer, str) and answer.status_code == 200 and "x-request-id" in answer.headers:
            yield Finding(name, Mark.GOOD, address)
        else:
            host = urlsplit(address).hostname
            yield Finding(
                name,
                Mark.MISSING,
                _told(address + path, answer),
                f"{parameter} must lead to the site: docs/pages.md (On AWS) says of what {host} is an alias",
            )


def look_at_stripe(patient: Patient) -> Iterator[Finding]:
    if patient.parameters.get("PaymentProvider") != "stripe":
        if patient.environment == "prod":
            detail, remedy = "the sandbox's cards give goods away", "PaymentProvider=stripe in samconfig.toml"
            yield Finding("payments", Mark.MISSING, detail, remedy)
        return
    secrets = _secrets_of(patient)
    values = {}
    for name, holds in (("StripeKey", "Stripe's secret key"), ("StripeWebhookSecret", "the webhook's signing secret")):
        value = _value(patient.client("secretsmanager"), secrets.get(name, ""))
        if value:
            values[name] = value
            yield Finding(name, Mark.GOOD, "it has a value")
        else:
            put = f"aws secretsmanager put-secret-value --secret-id {secrets.get(name, name)} --secret-string <it>"
            yield Finding(name, Mark.MISSING, f"{holds} is not there", f"{put} --region {patient.region}")
    if not patient.parameters.get("StripePublishableKey"):
        remedy = '"StripePublishableKey=pk_…" in samconfig.toml, and make deploy'
        yield Finding("StripePublishableKey", Mark.MISSING, "the checkout page cannot show Stripe's card field", remedy)
    if "StripeKey" in values:
        yield _webhook(patient, values["StripeKey"])


def _secrets_of(patient: Patient) -> dict[str, str]:
    """Returns the ARNs of the stack's secrets by logical id. CloudFormation's names are the id, a dash and a suffix.

    Those of the local cloud have the nested stack's name before them.
    """
    pages = patient.client("secretsmanager").get_paginator("list_secrets")
    found = {}
    for page in pages.paginate(Filters=[{"Key": "tag-key", "Values": ["shop"]}]):
        for secret in page["SecretList"]:
            if {"Key": "shop", "Value": patient.name} in secret.get("Tags", []):
                found[secret["Name"].rpartition("-")[0].rpartition("-")[2]] = secret["ARN"]
    return found


def _value(secrets: Any, arn: str) -> str:
    """Returns the secret's value, or an empty string if the secret or its value is missing."""
    if not arn:
        return ""
    try:
        value: str = secrets.get_secret_value(SecretId=arn)["SecretString"]
    except secrets.exceptions.ResourceNotFoundException:
        return ""
    return value


def _webhook(patient: Patient, key: str) -> Finding:
    what, path = "Stripe's webhook", "/payments/webhooks/stripe"
    address, domain = patient.api + path, patient.parameters.get("ApiDomain", "")
    addresses = {address, f"https://{domain}/api{path}"}
    answer = _get(patient, f"{_STRIPE}/v1/webhook_endpoints?limit=100", headers={"Authorization": f"Bearer {key}"})
    if isinstance(answer, str):
        return Finding(what, Mark.UNKNOWN, answer, "ask again, or look at Stripe's dashboard")
    if answer.status_code == 401:
        return Finding(what, Mark.MISSING, "Stripe does not know the key in StripeKey", "put the right one into it")
    if answer.status_code != 200:  # such as a restricted key, which may not read endpoints
        return Finding(what, Mark.UNKNOWN, _told("Stripe", answer), f"see that it has a webhook for {address}")
    endpoints = [one for one in answer.json()["data"] if one["url"] in addresses and one["status"] == "enabled"]
    events = {event for one in endpoints for event in one["enabled_events"]}
    lacking = [
        kind for kind in _STRIPE_EVENTS if "*" not in events and not any(event.startswith(kind) for event in events)
    ]
    if not endpoints:
        return Finding(what, Mark.MISSING, f"Stripe has no enabled webhook for {address}", "make one: docs/payments.md")
    if lacking:
        said = f"it does not get {', '.join(kind + '*' for kind in lacking)}"
        return Finding(what, Mark.MISSING, said, "choose these events for it in Stripe's dashboard")
    return Finding(what, Mark.GOOD, endpoints[0]["url"])


def look_at_carrier(patient: Patient) -> Iterator[Finding]:
    if patient.parameters.get("Carrier") != "easypost":
        return
    secrets = _secrets_of(patient)
    key = _value(patient.client("secretsmanager"), secrets.get("EasyPostKey", ""))
    if not key:
        secret = secrets.get("EasyPostKey", "EasyPostKey")
        put = f"aws secretsmanager put-secret-value --secret-id {secret} --secret-string <it> --region {patient.region}"
        yield Finding("EasyPostKey", Mark.MISSING, "EasyPost's API key is not there", put)
        return
    if patient.environment == "prod" and key.startswith(_EASYPOST_TEST_KEY):
        detail, remedy = "it is a test key: no carrier takes its labels", "put the production key into it"
        yield Finding("EasyPostKey", Mark.MISSING, detail, remedy)
    else:
        yield Finding("EasyPostKey", Mark.GOOD, "it has a value")
    yield _easyposts_webhook(patient, key)


def _easyposts_webhook(patient: Patient, key: str) -> Finding:
    what, path = "EasyPost's webhook", "/shipments/webhooks/easypost"
    address, domain = patient.api + path, patient.parameters.get("ApiDomain", "")
    addresses = {address, f"https://{domain}/api{path}"}
    authorization = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
    api = patient.parameters.get("EasyPostApi") or _EASYPOST  # the stand-in's, on the local cloud only
    answer = _get(patient, f"{api}/v2/webhooks", headers={"Authorization": authorization})
    if isinstance(answer, str):
        return Finding(what, Mark.UNKNOWN, answer, "ask again, or look at EasyPost's dashboard")
    if answer.status_code == 401:
        return Finding(what, Mark.MISSING, "EasyPost does not know the key in EasyPostKey", "put the right one into it")
    if answer.status_code != 200:
        return Finding(what, Mark.UNKNOWN, _told("EasyPost", answer), f"see that it has a webhook for {address}")
    found = [one for one in answer.json()["webhooks"] if one["url"] in addresses]
    if not found:
        detail = f"EasyPost has no webhook for {address}"
        return Finding(what, Mark.MISSING, detail, "make one: docs/going-live.md, EasyPost")
    if all(one.get("disabled_at") for one in found):
        return Finding(
            what, Mark.MISSING, "EasyPost has switched it off after failures", "switch it on in its dashboard"
        )
    return Finding(what, Mark.GOOD, found[0]["url"])


def look_at_admin(patient: Patient) -> Iterator[Finding]:
    what, table = "an admin", patient.outputs["UsersTable"]
    pages = (
        patient.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=table,
            FilterExpression="sk = :user AND #role = :admin",
            ExpressionAttributeNames={"#role": "role"},
            ExpressionAttributeValues={":user": {"S": "USER"}, ":admin": {"S": "admin"}},
            ProjectionExpression="pk",
        )
    )
    remedy = f"register at the shop, verify the address, and mercato --stack {patient.name} users promote <address>"
    for number, page in enumerate(pages):
        if page["Items"]:
            yield Finding(what, Mark.GOOD, "there is one")
            return
        if number + 1 == _PAGES:
            yield Finding(what, Mark.UNKNOWN, f"none is among the first {_PAGES} pages of accounts", remedy)
            return
    yield Finding(what, Mark.MISSING, "no account is an admin's, so no product can be made", remedy)


def look_at_prices(patient: Patient) -> Iterator[Finding]:
    """Products keep their price when the shop's currency changes, and cannot be sold in the new one."""
    what, currency = "the products' currency", patient.parameters.get("Currency", _CURRENCY)
    pages = (
        patient.client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=patient.outputs["ProductsTable"],
            FilterExpression="sk = :product AND #status = :active AND #currency <> :currency",
            ExpressionAttributeNames={"#status": "status", "#currency": "currency"},
            ExpressionAttributeValues={
                ":product": {"S": "PRODUCT"},
                ":active": {"S": "active"},
                ":currency": {"S": currency},
            },
            ProjectionExpression="sku, #currency",
        )
    )
    for number, page in enumerate(pages):
        if page["Items"]:
            first = page["Items"][0]
            detail = f"{first['sku']['S']} and perhaps others are priced in {first['currency']['S']}, not in {currency}"
            remedy = "import their prices in the shop's currency, or discontinue them"
            yield Finding(what, Mark.MISSING, detail, remedy)
            return
        if number + 1 == _PAGES:
            detail = f"{currency} in the first {_PAGES} pages of the table"
            yield Finding(what, Mark.UNKNOWN, detail, "look at the console's catalogue")
            return
    yield Finding(what, Mark.GOOD, currency)


def look_at_rates(patient: Patient) -> Iterator[Finding]:
    what, currency = "the shipping rates", patient.parameters.get("Currency", _CURRENCY)
    newest = _newest(patient, "ShippingTable", "RATES")
    remedy = "set them in the console, under Shipping rates"
    if not newest:
        yield Finding(what, Mark.MISSING, "they are still the example of a new shop", remedy)
        return
    table = _unpacked(newest["table"])
    if table["currency"] != currency:
        yield Finding(what, Mark.MISSING, f"they are in {table['currency']}, and the shop sells in {currency}", remedy)
    else:
        yield Finding(what, Mark.GOOD, f"version {table['version']}")


def look_at_taxes(patient: Patient) -> Iterator[Finding]:
    """The example of a new shop may be right: a seller in the United Kingdom can put it in force as it is."""
    what, remedy = "the tax rates", "set them in the console, under Tax rates"
    newest = _newest(patient, "CheckoutTable", "TAXES")
    if not newest:
        detail = "they are still the example of a new shop: the United Kingdom's, and no tax anywhere else"
        yield Finding(what, Mark.MISSING, detail, remedy)
    elif not json.loads(newest["rates"]["S"]):
        yield Finding(what, Mark.MISSING, "there is none, so that no order can be placed", remedy)
    else:
        yield Finding(what, Mark.GOOD, f"version {newest['version']['N']}")


def look_at_seller(patient: Patient) -> Iterator[Finding]:
    """Checks what the law wants of the seller on an invoice. Issued invoices never change."""
    what, remedy = "the seller on invoices", "enter it in the console, under Seller"
    newest = _newest(patient, "DocumentsTable", "SELLER")
    if not newest:
        yield Finding(what, Mark.MISSING, "it is still the example of a new shop", remedy)
        return
    record = _unpacked(newest["record"])
    seller = record["seller"]
    if not seller["address"]:
        yield Finding(what, Mark.MISSING, f"{seller['name']} has no address, without which an invoice is none", remedy)
    else:
        without = "" if seller["tax_id"] else ", without a VAT number"
        yield Finding(what, Mark.GOOD, f"{seller['name']}{without}, version {record['version']}")


def _newest(patient: Patient, table: str, key: str) -> dict[str, Any] | None:
    """The newest of the versions below the key, in the table of this output."""
    found: list[dict[str, Any]] = patient.client("dynamodb").query(
        TableName=patient.outputs[table],
        KeyConditionExpression="pk = :key",
        ExpressionAttributeValues={":key": {"S": key}},
        ScanIndexForward=False,
        Limit=1,
    )["Items"]
    return found[0] if found else None


def _unpacked(stored: Mapping[str, Any]) -> Any:
    return unpack(stored["S"] if "S" in stored else bytes(stored["B"]))


def _get(patient: Patient, address: str, headers: Mapping[str, str] | None = None) -> httpx.Response | str:
    """Returns the response, or the reason why there is none."""
    try:
        return patient.http.get(address, headers=dict(headers or {}))
    except httpx.HTTPError as error:
        return f"{urlsplit(address).hostname} does not answer: {error or type(error).__name__}"


def _told(what: str, answer: httpx.Response | str) -> str:
    return answer if isinstance(answer, str) else f"{what} answers {answer.status_code}: {answer.text[:120]!r}"


# In the order in which an operator follows them: docs/going-live.md.
OF_ACCOUNT: tuple[Check, ...] = (look_at_concurrency, look_at_access_logs, look_at_mail_account, look_at_stack)
OF_STACK: tuple[Check, ...] = (
    look_at_restore,
    look_at_parameters,
    look_at_sender,
    look_at_alarms,
    look_at_functions,
    look_at_relay,
    look_at_api,
    look_at_api_domain,
    look_at_firewall,
    look_at_sites,
    look_at_stripe,
    look_at_carrier,
    look_at_admin,
    look_at_prices,
    look_at_rates,
    look_at_taxes,
    look_at_seller,
)


def examine(patient: Patient) -> Iterator[Finding]:
    """Yields all findings. A check that AWS refuses is a finding too.

    A stack that was never deployed completely has no outputs, so only the account is checked.
    """
    for check in (*OF_ACCOUNT, *(OF_STACK if patient.outputs else ())):
        try:
            yield from check(patient)
        except (ClientError, BotoCoreError) as error:
            what = check.__name__.removeprefix("look_at_").replace("_", " ")
            yield Finding(what, Mark.UNKNOWN, explain(error), "ask with credentials that may read it")


def describe(cloudformation: Any, name: str) -> Mapping[str, Any] | None:
    """Returns the stack's description, or None if it does not exist. Raises ClientError and BotoCoreError."""
    try:
        stack: Mapping[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        said = error.response["Error"]
        if said["Code"] == "ValidationError" and "does not exist" in said["Message"]:
            return None
        raise
    return stack


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Check what a shop on AWS still lacks, and print the command that mends it.

    Name the shop: mercato --stack ‹stack› doctor. Reads with your AWS credentials and changes nothing. Exits with 1 if
    anything is missing, or could not be looked at.
    """
    named = target.choice
    if not named.stack:
        raise click.UsageError("name the shop: mercato --stack ‹stack› doctor. It looks at a shop on AWS.")
    session = boto3.session.Session(region_name=named.region)
    if not session.region_name:
        raise click.UsageError("name the region: mercato --region ‹region› --stack ‹stack› doctor")
    make: Any = session.client

    def client(service: str) -> Any:
        return make(service, config=_CONFIG)

    try:
        stack = describe(client("cloudformation"), named.stack)
    except (ClientError, BotoCoreError) as error:
        raise target.NoShop(f"AWS does not say whether there is a stack {named.stack}: {explain(error)}") from None
    with httpx.Client(timeout=10, follow_redirects=False) as http:
        name = stack["StackName"] if stack else named.stack  # named by its ARN, perhaps
        patient = Patient(name, session.region_name, client, http, stack, named.url)
        if as_json:
            findings = list(examine(patient))
            click.echo(json.dumps([vars(finding) for finding in findings], indent=2))
        else:
            findings = list(_shown_as_found(examine(patient)))
    bad = [finding for finding in findings if finding.mark is not Mark.GOOD]
    if bad:
        raise click.exceptions.Exit(1)


_SIGNS = {Mark.GOOD: "[green]●[/]", Mark.MISSING: "[bold red]▲[/]", Mark.UNKNOWN: "[yellow]◌[/]"}


def _shown_as_found(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Prints each finding immediately, since some checks take seconds, and then the remedies in order."""
    console = Console()
    to_do = []
    for finding in findings:
        console.print(f"{_SIGNS[finding.mark]} [bold]{escape(finding.what)}[/]  {escape(finding.detail)}")
        if finding.mark is not Mark.GOOD:
            to_do.append(finding)
        yield finding
    if not to_do:
        console.print("\nNothing is missing.")
        return
    table = Table(title=f"to do: {len(to_do)}", title_justify="left")
    table.add_column("what", overflow="fold")
    table.add_column("how", overflow="fold")
    for finding in to_do:
        table.add_row(escape(finding.what), escape(finding.remedy))
    console.print(table)
