"""Makes moto and botocore fast enough for thousands of small tests, and safe for threads. Responses do not change.

botocore:
- It reads the service models once, and not again for the clients of each test.
- It inspects each event handler once, and translates each event name once, because both took longer than a request.
- While moto is active, boto3.client creates one client for each service and setting, not one for each call. A test that
  changes a client creates its own: `boto3.session.Session().client`. The functions' clients are kept: kept_clients.py.
- While moto is active, most requests are not signed, because moto checks no signature. Those to DynamoDB go to moto
  directly if no test listens to them: direct_calls.py.

moto:
- DynamoDB's calls are atomic. moto's are not atomic between threads, so a lock serializes them.
- The backend of an account is found without a search through all backends, and DynamoDB's errors are described in JSON
  alone.
- A request to DynamoDB goes directly to its handler, without werkzeug and the search through all services' URLs.
- A condition is split into tokens once, and not for each request.
- An update expression is parsed once. moto parses it three times per request, and works on a copy of the result.
- Each class of an expression's tree is looked up once. moto asks at each visit of a node, and there are hundreds.
- Before a transaction moto copies the whole table once for each write. Here it copies only the items that are written,
  because a transaction changes no others.
- A query reads one partition. moto sorts the whole table first, which made tests with thousands of items take minutes.
- A request to a region goes to the function that answered there before. moto tries the patterns of all services.
- A long poll of an empty queue returns immediately, because in a test no message arrives during the poll.
- moto searches each member of a response under a dozen names. DynamoDB's members have one name.
- A value of DynamoDB passes botocore and moto whole: whole_values.py.
- DynamoDB's values, items and expressions cost less work: fast_dynamodb.py.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import re
import string
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.hooks
import botocore.loaders
import botocore.session
import botocore.useragent
import moto.backend_index as backend_index
import moto.core.responses
import moto.sqs.models
import pytest
from botocore.client import BaseClient
from botocore.hooks import EVENT_ALIASES, EventAliaser
from botocore.regions import EndpointRulesetResolver
from botocore.signers import RequestSigner
from botocore.useragent import UserAgentString
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.exceptions import JsonRESTError
from moto.core.models import DEFAULT_ACCOUNT_ID, MockAWS, botocore_stubber, responses_mock
from moto.core.request import normalize_request
from moto.core.serialize import ResponseSerializer
from moto.core.utils import camelcase_to_underscores, method_names_from_class, unix_time_millis
from moto.dynamodb import models
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing.ast_nodes import (  # type: ignore[attr-defined]
    DepthFirstTraverser,
    Expression,
    Node,
    UpdateExpressionFunction,
)
from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # type: ignore[attr-defined]
from moto.dynamodb.responses import DynamoHandler
from moto.moto_api import recorder
from moto.moto_api._internal import mock_random
from moto.sqs.models import SQSBackend
from werkzeug.exceptions import HTTPException

from tests.kit import direct_calls, fast_dynamodb, kept_clients, whole_values


@contextmanager
def patched() -> Iterator[None]:
    client_class: Any = BaseClient
    turns = threading.RLock()
    call_action = DynamoHandler.call_action

    def in_turn(handler: DynamoHandler) -> Any:
        with turns:
            return call_action(handler)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.loaders.create_loader))
        patch.setattr(botocore.hooks, "accepts_kwargs", once_per_function(botocore.hooks.accepts_kwargs))
        patch.setattr(EventAliaser, "__init__", with_shared_names(EventAliaser.__init__))
        patch.setattr(boto3, "client", made_once(boto3.client))
        kept_clients.patch_into(patch)
        patch.setattr(client_class, "_make_api_call", direct_calls.directly(client_class._make_api_call))
        patch.setattr(RequestSigner, "sign", unsigned(RequestSigner.sign))
        sanitize = functools.cache(botocore.useragent.sanitize_user_agent_string_component)
        patch.setattr(botocore.useragent, "sanitize_user_agent_string_component", sanitize)
        patch.setattr(moto.core.responses, "method_names_from_class", functools.cache(method_names_from_class))
        patch.setattr(MockAWS, "_enable_patching", with_kept_responses(MockAWS._enable_patching))
        patch.setattr(BotocoreStubber, "process_request", straight(BotocoreStubber.process_request))
        patch.setattr(DynamoHandler, "call_action", in_turn)
        lex = ConditionExpressionParser._lex_condition_expression
        patch.setattr(ConditionExpressionParser, "_lex_condition_expression", once_per_expression(lex))
        patch.setattr(UpdateExpressionParser, "make", functools.cache(UpdateExpressionParser.make))
        patch.setattr(DepthFirstTraverser, "nodes_to_be_processed", once_per_class())
        patch.setattr(DepthFirstTraverser, "traverse_node_recursively", traverse)
        patch.setattr(Node, "find_clauses", find_clauses)
        patch.setattr(Node, "__deepcopy__", copy_of_node, raising=False)
        patch.setattr(type(mock_random), "get_random_string", drawn_at_once)
        patch.setattr(BackendDict, "__getitem__", found_first(BackendDict.__getitem__))
        patch.setattr(JsonRESTError, "__init__", described_in_json(JsonRESTError.__init__))
        patch.setattr(moto.sqs.models, "camelcase_to_underscores", functools.cache(camelcase_to_underscores))
        patch.setattr(moto.sqs.models, "unix_time_millis", with_a_quick_now(unix_time_millis))
        patch.setattr(SQSBackend, "receive_message", without_waiting(SQSBackend.receive_message))
        patch.setattr(DynamoDBBackend, "transact_write_items", with_small_copies(patch))
        patch.setattr(Table, "query", of_one_partition(Table.query))
        patch.setattr(ResponseSerializer, "get_value", plainly(ResponseSerializer.get_value))
        patch.setattr(moto.core.responses, "camelcase_to_underscores", functools.cache(camelcase_to_underscores))
        patch.setattr(UserAgentString, "to_string", once_per_client(UserAgentString.to_string))
        resolve = EndpointRulesetResolver.construct_endpoint
        patch.setattr(EndpointRulesetResolver, "construct_endpoint", once_per_operation(resolve))
        for owner, name, replacement in (*fast_dynamodb.REPLACEMENTS, *whole_values.REPLACEMENTS):
            patch.setattr(owner, name, replacement)
        yield


def once_per_function(accepts_kwargs: Callable[[Any], Any]) -> Callable[[Any], Any]:
    cached = functools.cache(accepts_kwargs)
    return lambda handler: cached(getattr(handler, "__func__", handler))


def made_once(make: Any) -> Any:
    """Reuses clients. Creating one takes ten milliseconds, as long as a small test."""
    made: dict[Any, Any] = {}

    @functools.wraps(make)
    def client(*args: Any, **kwargs: Any) -> Any:
        if not botocore_stubber.enabled:
            return make(*args, **kwargs)
        settings = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
        key = (args, *(tuple(sorted(found.items())) for found in (kwargs, settings)))
        if key not in made:
            made[key] = make(*args, **kwargs)
            kept_clients.mark_as_made(made[key].meta.events)
        return made[key]

    return client


def once_per_client(to_string: Any) -> Any:
    """Makes the text of the User-Agent header once. The features of botocore that single requests use are left out."""

    def text_of(agent: Any) -> str:
        kept = vars(agent).get("text_and_config")
        if not kept or kept[1] is not agent._client_config:
            kept = vars(agent)["text_and_config"] = to_string(agent), agent._client_config
        text: str = kept[0]
        return text

    return text_of


def once_per_operation(construct_endpoint: Any) -> Any:
    """Finds DynamoDB's address once for each client and operation, because no parameter of a request changes it."""

    def construct(resolver: Any, operation_model: Any, call_args: Any, request_context: Any) -> Any:
        if operation_model.service_model.service_name != "dynamodb" or not botocore_stubber.enabled:
            return construct_endpoint(resolver, operation_model, call_args, request_context)
        found = vars(resolver).setdefault("found", {})
        if operation_model.name not in found:
            found[operation_model.name] = construct_endpoint(resolver, operation_model, call_args, request_context)
        return found[operation_model.name]

    return construct


def with_shared_names(init: Any) -> Any:
    """Shares the cache of botocore's event names between all emitters."""
    names: dict[str, str] = {}

    def make(aliaser: Any, emitter: Any, event_aliases: Any = None) -> None:
        init(aliaser, emitter, event_aliases)
        if aliaser._event_aliases == EVENT_ALIASES:
            aliaser._alias_name_cache = names

    return make


def with_kept_responses(enable_patching: Any) -> Any:
    """Keeps the 2,000 URLs that moto registers with `responses` at each start, because they are always the same."""
    registered: list[Any] = []

    def _enable_patching(mock: MockAWS, reset: bool = True) -> None:
        if not registered:
            enable_patching(mock, reset)
            registered.extend(responses_mock.registered())
            return
        botocore_stubber.enabled = True
        if reset:
            mock.reset()
        responses_mock.start()
        responses_mock.get_registry().registered.extend(registered)

    return _enable_patching


# moto checks no signature. For these it reads the region in the address, and for others, such as IAM, in the signature.
UNSIGNED = {"CloudFormation", "DynamoDB", "EventBridge", "KMS", "Lambda", "SFN", "SQS", "SSM", "Secrets Manager"}


def unsigned(sign: Any) -> Any:
    @functools.wraps(sign)
    def sign_others(signer: Any, *args: Any, **kwargs: Any) -> None:
        if signer._service_id not in UNSIGNED or not botocore_stubber.enabled:
            sign(signer, *args, **kwargs)

    return sign_others


def straight(process_request: Any) -> Any:
    """`BotocoreStubber.process_request`, which looks through the addresses of all services for each request."""
    regional = re.compile(r"https://(?!s3)[a-z-]+\.[a-z]{2}-[a-z]+-[0-9]\.amazonaws\.com/[^?]*")
    handlers: dict[str, Any] = {}  # by address

    @functools.wraps(process_request)
    def process(stubber: BotocoreStubber, request: Any) -> Any:
        if found := direct_calls.ADDRESS.fullmatch(request.url):
            sent = request.headers._dict.items()  # its own iteration takes each name apart three times
            headers = {str(key._key): value if isinstance(value, str) else value.decode() for key, value in sent}
            body = request.body if isinstance(request.body, bytes) else request.body.encode()
            return direct_calls.answer(found[1], headers, body)
        if not regional.fullmatch(request.url):
            return process_request(stubber, request)
        if request.url not in handlers:
            handlers[request.url] = handler_of(request.url)
        if handlers[request.url] is None:
            return process_request(stubber, request)
        normal = normalize_request(request)
        recorder._record_request(normal)
        try:
            return handlers[request.url](normal, normal.raw_url, normal.headers)
        except HTTPException as error:
            return error.code, error.get_headers(), error.get_body()

    return process


def handler_of(address: str) -> Any:
    """Returns moto's function for requests to the address, if a backend of a region has one."""
    for service, pattern in backend_index.backend_url_patterns:
        if pattern.match(address):
            find: Any = get_backend  # typed by the literal name of each service
            backends = find(service)
            if not isinstance(backends, BackendDict) or "us-east-1" not in backends[DEFAULT_ACCOUNT_ID]:
                return None
            urls = backends[DEFAULT_ACCOUNT_ID]["us-east-1"].urls
            return next((handle for url, handle in urls.items() if re.match(url, address)), None)
    return None


def once_per_expression(lex: Any) -> Any:
    words: dict[str, tuple[Any, ...]] = {}

    def lex_condition_expression(parser: Any) -> deque[Any]:
        expression = parser.condition_expression
        if expression not in words:
            words[expression] = tuple(lex(parser))
        return deque(words[expression])

    return lex_condition_expression


def with_a_quick_now(unix_time_millis: Any) -> Any:
    """A queue asks twice for the time for each of its messages, whenever a message is sent or received."""
    return lambda at=None: time.time() * 1000 if at is None else unix_time_millis(at)


def without_waiting(receive: Any) -> Any:
    def receive_message(
        backend: SQSBackend, queue_name: str, count: int, wait_seconds_timeout: int, *more: Any, **others: Any
    ) -> Any:
        return receive(backend, queue_name, count, 0, *more, **others)

    return receive_message


def once_per_class() -> Any:
    nodes: dict[type, tuple[type, ...]] = {}

    def nodes_to_be_processed(traverser: DepthFirstTraverser) -> tuple[type, ...]:
        kind = type(traverser)
        if kind not in nodes:
            nodes[kind] = tuple(traverser._processing_map())
        return nodes[kind]

    return nodes_to_be_processed


def of_one_partition(query: Any) -> Any:
    @functools.wraps(query)
    def query_partition(table: Table, hash_key: DynamoType | None, *more: Any, **others: Any) -> Any:
        *_, index_name, _consistent, _filter = more
        if index_name is None and hash_key is not None and table.has_range_key:
            whole, table = table, copy.copy(table)
            table.items = defaultdict(dict, {hash_key: whole.items[hash_key]} if hash_key in whole.items else {})
        return query(table, hash_key, *more, **others)

    return query_partition


# It takes long for the abstract classes of a tree's nodes.
is_a: Callable[[Any, tuple[type, ...]], bool] = functools.cache(issubclass)


@functools.wraps(DepthFirstTraverser.traverse_node_recursively)
def traverse(traverser: DepthFirstTraverser, node: Any, child_id: int = -1) -> Any:
    if not is_a(type(node), (Node,)):
        return node
    parent = node.parent
    for number, child in enumerate(node.children or ()):
        traverser.pre_processing_of_child(node, number)
        traverse(traverser, child, number)
    if is_a(type(node), traverser.nodes_to_be_processed()):
        node = traverser.process(node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


@functools.wraps(Node.find_clauses)
def find_clauses(node: Node, clause_types: list[type]) -> list[Node]:
    found: list[Node] = []
    for child in node.children or ():
        if type(child) in clause_types:
            found.append(child)
        elif is_a(type(child), (Expression, UpdateExpressionFunction)):
            found += find_clauses(child, clause_types)
    return found


def copy_of_node(node: Any, memo: dict[int, Any]) -> Any:
    """Returns a copy of the tree below the node. Its leaves are values that do not change, or values of DynamoDB."""
    made = object.__new__(type(node))
    made.__dict__.update(node.__dict__)
    memo[id(node)] = made
    if node.children is not None:
        made.children = [copy.deepcopy(child, memo) for child in node.children]
        for child in made.children:
            if is_a(type(child), (Node,)):
                child.parent = made
    return made


CHARACTERS = {
    digits: bytes(
        (string.ascii_letters + (string.digits if digits else "")).encode()[n % (62 if digits else 52)]
        for n in range(256)
    )
    for digits in (True, False)
}


def drawn_at_once(random: Any, length: int = 20, include_digits: bool = True, lower_case: bool = False) -> str:
    """`Random.get_random_string`, which draws each character by itself. Each response has an id of 52."""
    text: str = random.randbytes(length).translate(CHARACTERS[include_digits]).decode()
    return text.lower() if lower_case else text


def found_first(get: Any) -> Any:
    """`BackendDict.__getitem__`, which looks through all of moto's backends for each request."""

    @functools.wraps(get)
    def get_backend(backends: Any, account_id: str) -> Any:
        return (
            dict.__getitem__(backends, account_id)
            if dict.__contains__(backends, account_id)
            else get(backends, account_id)
        )

    return get_backend


def described_in_json(init: Any) -> Any:
    """`JsonRESTError.__init__`, which describes the error in XML before it describes it in JSON."""

    @functools.wraps(init)
    def make(error: JsonRESTError, error_type: str, message: str, _: str = "", **more: Any) -> None:
        if more or type(error).include_type_sender is not True:
            init(error, error_type, message, **more)
            return
        HTTPException.__init__(error)
        error.error_type, error.message = error_type, message
        error.description = json.dumps({"__type": error_type, "message": message})
        error.content_type = "application/json"

    return make


def plainly(get_value: Any) -> Any:
    def get(serializer: ResponseSerializer, value: Any, key: str, shape: Any) -> Any:
        if type(value) is dict and serializer.operation_model.service_model.service_name == "dynamodb":
            return value.get(key)
        return get_value(serializer, value, key, shape)

    return get


def with_small_copies(patch: pytest.MonkeyPatch) -> Any:
    transact = DynamoDBBackend.transact_write_items
    writes: list[tuple[str, dict[str, Any]]] = []  # of the running transaction; only one runs at a time
    copies: dict[str, Table] = {}

    def deepcopy(value: Any) -> Any:
        if not isinstance(value, Table):
            return copy.deepcopy(value)
        if value.name not in copies:
            copies[value.name] = before(value, [one for one in writes if one[1]["TableName"] == value.name])
        return copies[value.name]

    def transact_write_items(backend: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        writes[:] = [write for one in transact_items for write in one.items()]
        copies.clear()
        transact(backend, transact_items)

    patch.setattr(models, "copy", SimpleNamespace(deepcopy=deepcopy))
    return transact_write_items


def before(table: Table, writes: list[tuple[str, dict[str, Any]]]) -> Table:
    """Returns a copy of the table that `writes`, by their kinds, do not change. Only an update changes the item itself:
    a put replaces it.
    """
    kept = copy.copy(table)
    kept.items = defaultdict(dict, table.items)
    for kind, write in writes:
        key = write.get("Key") or write["Item"]
        if not table.has_range_key:
            hash_key = DynamoType(key[table.hash_key_attr])
            if kind == "Update" and hash_key in table.items:
                kept.items[hash_key] = copy.deepcopy(table.items[hash_key])
            continue
        hash_key, range_key = (DynamoType(key[name]) for name in (table.hash_key_attr, table.range_key_attr))
        if hash_key not in table.items:
            continue
        if kept.items[hash_key] is table.items[hash_key]:
            kept.items[hash_key] = dict(table.items[hash_key])
        if kind == "Update" and range_key in kept.items[hash_key]:
            kept.items[hash_key][range_key] = copy.deepcopy(kept.items[hash_key][range_key])
    return kept
