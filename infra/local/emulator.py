"""The process of the local cloud, `python -m infra.local.emulator`: MiniStack with twenty changes.

- It records each used permission.
- A batch action of SQS needs the permission of the single action, as on AWS.
- A throttled call of a function has the error name of AWS, for which the saga has a longer retry.
- `*~1*` among an API's binary media types means `*/*`, which also matches a body without a Content-Type.
- An API's definition may have the method ANY.
- SAM resources are expanded in nested stacks too.
- A resource of a nested stack keeps its attributes in an update that does not change it.
- An alias with weighted versions routes calls by weight.
- An alarm on a metric-math expression is kept without data; MiniStack refuses it.
- Composite alarms, saved queries, the archive and CodeDeploy's resources are placeholders; MiniStack refuses them.
- An HTTP API without an endpoint of its own is reached through the mesh's ingress alone.
- The function behind that API gets the client certificate in its event, as the ingress states it.
- AWS End User Messaging keeps text messages, which /_ministack/sms/messages lists; MiniStack has no such service.
- A sandbox that started before its code was saved is replaced.
- An answer that was cut off, since its sandbox was killed, is none; MiniStack takes it as an empty one.
- A sandbox is a fork of a process that has imported what all functions import (docs/decisions/0268).
- It waits for what happens, and reads streams concurrently (docs/decisions/0269).
- For speed, uvicorn with httptools and uvloop serves it in the place of hypercorn, and a policy and the syntax of a
  condition are read once (docs/decisions/0274).
- Nagle's algorithm is off for the functions' Runtime API. Its server sends headers and body separately, so the body of
  each event would wait 40 ms for a delayed acknowledgement of the headers.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import random
import re
import socketserver
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import hypercorn.asyncio
import uvicorn
import uvloop
from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.services import apigateway, apigateway_v1, dynamodb, lambda_svc
from ministack.services.cloudformation import _stacks, changesets, engine, handlers, provisioners

from infra.local import reload, sandboxes, text_messages, waits
from infra.local.iam.recording import noting

_PLACEHOLDERS = (
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::Events::Archive",
    "AWS::Logs::QueryDefinition",
)


_Answering = Callable[..., Coroutine[Any, Any, Any]]
_OF_THE_INGRESS = ("x-mesh-proof", "x-forwarded-client-cert")


def named(throttled: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Adds AWS's error name to the response to a throttled call. Otherwise the state machine gets `Lambda.Unknown`."""

    def answer(*about: Any, **more: Any) -> dict[str, Any]:
        found = throttled(*about, **more)
        return found | {"body": found["body"] | {"errorType": "Lambda.TooManyRequestsException"}}

    return answer


def of_the_single_action(extract: Callable[..., str | None]) -> Callable[..., str | None]:
    """Maps the batch actions of SQS to single actions, because IAM has no action such as `sqs:SendMessageBatch`."""

    def answer(service: str, *about: Any, **more: Any) -> str | None:
        action = extract(service, *about, **more)
        return action.removesuffix("Batch") if action and service == "sqs" else action

    return answer


def covering(matches: Callable[..., bool]) -> Callable[..., bool]:
    """Decodes `~1` in media types, which CloudFormation writes for the slash and MiniStack does not decode."""

    def answer(media_type: str | None, binary_media_types: list[str] | None) -> bool:
        types = [kind.replace("~1", "/") for kind in binary_media_types or []]
        return "*/*" in types or matches(media_type, types)

    return answer


def replacing(acquire: Callable[..., tuple[Any, str]], folder: Path) -> Callable[..., tuple[Any, str]]:
    """Replaces a function's idle sandboxes that started with older code than the live code."""

    def answer(name: str, config: dict[str, Any], *about: Any, **more: Any) -> tuple[Any, str]:
        live = reload.code_of(folder, config["Handler"])
        while True:
            worker, how = acquire(name, config, *about, **more)
            if how == "spawn":
                worker.code = live
            if worker is None or getattr(worker, "code", None) == live:
                return worker, how
            with lambda_runtime._lock:
                for workers in lambda_runtime._workers.values():
                    if worker in workers:
                        workers.remove(worker)
            lambda_runtime.kill_workers([worker])

    return answer


def by_share(function: dict[str, Any] | None, qualifier: str | None) -> str | None:
    """Chooses a version at random by an alias's weights. Returns other qualifiers unchanged."""
    alias = (function or {}).get("aliases", {}).get(qualifier, {})
    shares: dict[str, float] = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    if not shares:
        return qualifier
    versions = [alias["FunctionVersion"], *shares]
    [version] = random.choices(versions, [1 - sum(shares.values()), *shares.values()])
    return str(version)


def sharing(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """Applies an alias's weights to calls from API Gateway, queues and streams."""

    def answer(function: dict[str, Any] | None, qualifier: str | None) -> Any:
        return resolve(function, by_share(function, qualifier))

    return answer


def sharing_invocations(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """Applies an alias's weights to calls through Lambda's Invoke API and from state machines."""

    def answer(
        name: str, event: Any, headers: Any, path_qualifier: str | None = None, query_params: Any = None, *more: Any
    ) -> Any:
        asked = lambda_svc._qualifier_from_path_or_query(path_qualifier, query_params)
        chosen = by_share(lambda_svc._functions.get(name), asked)
        return invoke(name, event, headers, chosen, query_params, *more)

    return answer


def expanded(parse: Callable[[str], dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    """Expands SAM in nested templates. MiniStack does so only for the root template."""

    def answer(body: str) -> dict[str, Any]:
        found: dict[str, Any] = engine._apply_transforms(parse(body))
        return found

    return answer


def keeping_attributes(update: Callable[..., tuple[str, dict[str, Any]]]) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Keeps a resource's attributes in updates. Without it, a nested stack's update loses an unchanged table's ARN."""

    def answer(kind: str, physical: str, old: Any, new: Any, stack: str, logical: str) -> tuple[str, dict[str, Any]]:
        before = _stacks[stack]["_resources"][logical]["Attributes"]
        found, attributes = update(kind, physical, old, new, stack, logical, before)
        return found, before | attributes if found == physical else attributes

    return answer


def without_calculation(record: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Keeps an alarm on a metric-math expression as an alarm without data, so that a shop for AWS can be deployed."""

    def answer(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        if "Metrics" in properties:
            properties = properties | {"Metrics": None, "Namespace": "NotEmulated", "MetricName": name}
        return record(name, properties)

    return answer


def add_placeholders(handlers_by_type: dict[str, dict[str, Any]]) -> None:
    """Accepts the types that the emulator does not know, so that a shop for AWS can be deployed. They do nothing."""

    def create(logical_id: str, _: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        name = f"{stack}-{logical_id}"
        return name, {"Arn": f"arn:aws:placeholder:::{name}"}

    def update(physical_id: str, *_: Any) -> tuple[str, dict[str, Any]]:
        return physical_id, {}

    def delete(*_: Any) -> None:
        return None

    for kind in _PLACEHOLDERS:
        handlers_by_type.setdefault(kind, {"create": create, "update": update, "delete": delete})


def reading_any(read_path: Callable[..., None]) -> Callable[..., None]:
    """Imports `x-amazon-apigateway-any-method`, API Gateway's OpenAPI extension, as the method ANY."""

    def answer(api: str, path: str, methods: dict[str, Any], *about: Any) -> None:
        named = {"any" if name == "x-amazon-apigateway-any-method" else name: found for name, found in methods.items()}
        read_path(api, path, named, *about)

    return answer


def through_the_ingress(
    execute: Callable[..., Coroutine[Any, Any, Any]], proof: str
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Refuses calls of an API whose endpoint is disabled, as AWS does, unless the mesh's ingress has forwarded them."""

    async def answer(host: str, path: str, method: str, headers: dict[str, str], *about: Any, **more: Any) -> Any:
        parsed = app._parse_execute_api_url(host, path)
        if parsed is not None and headers.get("x-mesh-proof") != proof and _is_disabled(parsed[0]):
            logging.getLogger("mercato.mesh").warning("mesh call refused: %s %s came past the ingress", method, path)
            return 403, {"Content-Type": "application/json"}, json.dumps({"message": "Forbidden"}).encode()
        return await execute(host, path, method, headers, *about, **more)

    return answer


def _is_disabled(api_id: str) -> bool:
    return any(
        api["disableExecuteApiEndpoint"] for (_, _, stored), api in apigateway._apis.all_items() if stored == api_id
    )


def certified(execute: Callable[..., Any], proof: str) -> Callable[..., Any]:
    """Moves the certificate from the ingress's headers to where API Gateway states it."""

    def answer(function: dict[str, Any], event: Any, *about: Any, **more: Any) -> Any:
        headers = event.get("headers") if isinstance(event, dict) and event.get("version") == "2.0" else None
        if headers and headers.get("x-mesh-proof") == proof:
            found = re.search('Subject="([^"]*)"', headers.get("x-forwarded-client-cert", ""))
            kept = {name: value for name, value in headers.items() if name not in _OF_THE_INGRESS}
            subject = {"clientCert": {"subjectDN": found[1] if found else ""}}
            event = event | {"headers": kept, "requestContext": event["requestContext"] | {"authentication": subject}}
        return execute(function, event, *about, **more)

    return answer


def parsed_once(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Keeps what a policy's text means. MiniStack parses all policies of the caller's role for each call, twice."""
    kept = functools.lru_cache(maxsize=4096)(parse)

    def answer(document: Any) -> Any:
        return kept(document) if isinstance(document, str) else parse(document)

    return answer


def taking_whole_answers[**P](build: Callable[P, type[Any]]) -> Callable[P, type[Any]]:
    """Drops what a sandbox posts if it ends before all bytes are there. The invocation then fails with its sandbox."""

    def answer(*about: P.args, **more: P.kwargs) -> type[Any]:
        class WholeAnswers(build(*about, **more)):  # type: ignore[misc]
            def _read_body(self) -> bytes:
                body: bytes = super()._read_body()
                if len(body) < int(self.headers.get("Content-Length", 0)):
                    raise EOFError
                return body

            def do_POST(self) -> None:
                try:
                    super().do_POST()
                except EOFError:
                    self.close_connection = True

        return WholeAnswers

    return answer


async def serve(asgi: Any, config: hypercorn.Config) -> None:
    """Serves with uvicorn at hypercorn's address. A connection that is open when the process has to end is cut off."""
    host, _, port = config.bind[0].rpartition(":")
    settings = uvicorn.Config(
        asgi,
        host,
        int(port),
        http="httptools",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=int(config.keep_alive_timeout),
        timeout_graceful_shutdown=1,
    )
    await uvicorn.Server(settings).serve()


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    hypercorn.asyncio.serve = serve  # type: ignore[assignment]
    iam_evaluator.parse_policy_document = parsed_once(iam_evaluator.parse_policy_document)
    dynamodb._condition_syntax_error = functools.lru_cache(maxsize=4096)(dynamodb._condition_syntax_error)
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    iam_evaluator.evaluate = noting(iam_evaluator.evaluate, Path(os.environ["MERCATO_IAM_USED"]))
    iam_actions.extract_iam_action = of_the_single_action(iam_actions.extract_iam_action)
    lambda_svc._throttle_response = named(lambda_svc._throttle_response)
    apigateway_v1._media_type_matches = covering(apigateway_v1._media_type_matches)
    proof = os.environ["MERCATO_MESH_PROOF"]
    app._handle_execute_api_request = through_the_ingress(app._handle_execute_api_request, proof)
    lambda_svc._execute_function_with_config_scope = certified(lambda_svc._execute_function_with_config_scope, proof)
    lambda_svc.acquire_worker = replacing(lambda_svc.acquire_worker, Path(os.environ["MERCATO_RELOAD"]))
    lambda_runtime.subprocess = sandboxes.forking()
    runtime = lambda_runtime.ProvidedWorker
    runtime._build_handler_class = taking_whole_answers(runtime._build_handler_class)
    waits.install()
    lambda_svc._effective_func_record_for_qualifier = sharing(lambda_svc._effective_func_record_for_qualifier)
    lambda_svc._invoke = sharing_invocations(lambda_svc._invoke)
    apigateway_v1._OPENAPI_HTTP_METHODS.add("any")
    apigateway_v1._import_path_item = reading_any(apigateway_v1._import_path_item)
    # `handlers` and `changesets` have imported the function already and expand its result themselves. Only a nested
    # stack's deployment looks the function up in `engine`, so only that sees the replacement.
    assert handlers._parse_template is changesets._parse_template is engine._parse_template
    engine._parse_template = expanded(engine._parse_template)
    provisioners._update_resource = keeping_attributes(provisioners._update_resource)
    provisioners._cw_metric_alarm_record = without_calculation(provisioners._cw_metric_alarm_record)
    text_messages.add_to(app)
    add_placeholders(provisioners._RESOURCE_HANDLERS)
    app.main()
