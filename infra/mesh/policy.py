"""Reads and checks the mesh's policy. Each problem is told with the file's line."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from infra.trouble import Trouble

PATH = Path(__file__).with_name("policy.yaml")
LIVE = "live"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_SAFE = "GET"

Where = tuple[Hashable, ...]


class PolicyError(Trouble):
    """The policy is refused. `problems` are `line: place: what is wrong`."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__(f"{path.name} is refused", "\n".join(f"{path.name}:{problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Call:
    """A method and a path, in which {name} is one segment."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def pattern(self) -> str:
        """A regular expression for the whole path, as RE2 and Python read it."""
        return "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in self._parts())

    @property
    def wildcard(self) -> str:
        """The path as IAM reads it. An asterisk of IAM matches slashes too, so IAM alone is not enough."""
        return "".join("*" if part.startswith("{") else part for part in self._parts())

    @property
    def is_plain(self) -> bool:
        return "{" not in self.path

    def _parts(self) -> list[str]:
        return [part for part in re.split(r"(\{\w+\})", self.path) if part]


def _read_call(given: Any) -> Any:
    if isinstance(given, Call):
        return given
    method, _, path = str(given).partition(" ")
    if method not in METHODS or not re.fullmatch(r"(/([A-Za-z0-9._-]+|\{\w+\}))+", path):
        raise PydanticCustomError("call", "is no call such as GET /api/products/{{product_id}}")
    return Call(method, path)


def _read_duration(given: Any) -> Any:
    """Milliseconds, of 200ms or 5s."""
    if found := re.fullmatch(r"([1-9]\d{0,5})(ms|s)", str(given)):
        return int(found[1]) * (1000 if found[2] == "s" else 1)
    raise PydanticCustomError("duration", "is no duration such as 200ms or 5s")


Name = Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,30}$")]
Listed = Annotated[Call, BeforeValidator(_read_call)]
Duration = Annotated[int, BeforeValidator(_read_duration)]
Percent = Annotated[int, Field(ge=0, le=100)]
Environment = Literal["local", "dev", "prod"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class HasHeader(_Part):
    header: Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")]
    value: Annotated[str, Field(alias="is", min_length=1)]


class Identity(_Part):
    """The functions of one service that call peers. `timeout` replaces the default for their calls. The sidecars of one
    that is not measured write no metrics.
    """

    functions: Annotated[list[Annotated[str, Field(pattern=r"^([A-Z][a-z]+)+$")]], Field(min_length=1)]
    timeout: Duration | None = None
    is_measured: bool = True


class Resend(_Part):
    """`attempts` in all, of a call that has not reached the peer; at most `budget` percent more calls."""

    attempts: Annotated[int, Field(ge=1, le=5)]
    budget: Percent


class Eject(_Part):
    """A version that answers 5xx `after` times in a row gets no calls for a while; those go to the live version."""

    after: Annotated[int, Field(ge=1, le=100)]
    pause: Annotated[Duration, Field(alias="for")]


class Defaults(_Part):
    timeout: Duration
    connect: Duration
    resend: Resend
    eject: Eject


class Version(_Part):
    pin: HasHeader | None = None


class Mirror(_Part):
    to: Name
    percent: Percent
    only: list[Listed]


class Fault(_Part):
    """Delays calls, or answers them with `abort`, a status. Only calls with a header, if `when` names one."""

    when: HasHeader | None = None
    delay: Duration | None = None
    abort: Annotated[int, Field(ge=400, le=599)] | None = None
    percent: Percent
    environments: Annotated[list[Environment], Field(min_length=1)]


class Service(_Part):
    """`reads` are the calls other than GET that change nothing."""

    callers: dict[Name, list[Listed]]
    versions: dict[Name, Version] = Field(default_factory=lambda: {LIVE: Version()})
    reads: list[Listed] = []
    mirror: Mirror | None = None
    faults: list[Fault] = []


class Policy(_Part):
    trust_domain: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")]
    identities: dict[Name, Identity]
    defaults: Defaults
    services: dict[Name, Service]

    def spiffe_id(self, name: str) -> str:
        return f"spiffe://{self.trust_domain}/{name}"

    def calls_of(self, identity: str) -> dict[str, list[Call]]:
        """By service, what the identity may call."""
        return {
            name: service.callers[identity] for name, service in self.services.items() if identity in service.callers
        }

    def allows(self, identity: str, service: str, method: str, path: str) -> bool:
        return any(
            call.method == method and re.fullmatch(call.pattern, path)
            for call in self.calls_of(identity).get(service, [])
        )


def read(path: Path = PATH) -> Policy:
    """Raises PolicyError."""
    return parse(path.read_text(), path)


def parse(text: str, path: Path = PATH) -> Policy:
    """Raises PolicyError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(path, [f"{line}: it is no YAML: {error.problem}"]) from None
    if not isinstance(root, yaml.MappingNode):
        raise PolicyError(path, ["1: the policy is a mapping"])
    lines: dict[Where, int] = {}
    if twice := list(_index(root, (), lines)):
        raise PolicyError(path, twice)
    try:
        policy = Policy.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        found = [(_place(one["loc"]), one["msg"]) for one in error.errors(include_url=False, include_input=False)]
        raise PolicyError(path, _told(found, lines)) from None
    if problems := list(_contradictions(policy)):
        raise PolicyError(path, _told(problems, lines))
    return policy


def _index(node: yaml.Node, where: Where, lines: dict[Where, int]) -> Iterator[str]:
    """Notes the line of each place in `lines`. Yields the keys that occur twice, of which YAML keeps the last."""
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _index(value, (*where, number), lines)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*where, key.value)
            if place in lines:
                yield f"{key.start_mark.line + 1}: {_named(place)}: is here twice"
            lines[place] = key.start_mark.line + 1
            yield from _index(value, place, lines)


def _place(loc: tuple[int | str, ...]) -> Where:
    """pydantic puts `[key]` behind a key of a mapping that it refuses."""
    return tuple(part for part in loc if part != "[key]")


def _told(problems: list[tuple[Where, str]], lines: dict[Where, int]) -> list[str]:
    def line(where: Where) -> int:
        while where not in lines:
            where = where[:-1]
        return lines[where]

    return [f"{line(where)}: {_named(where)}: {said}" for where, said in sorted(problems, key=lambda one: line(one[0]))]


def _named(where: Where) -> str:
    return ".".join(map(str, where))


def _contradictions(policy: Policy) -> Iterator[tuple[Where, str]]:
    """What each part allows, and the whole does not."""
    owners: dict[str, str] = {}
    for name, identity in policy.identities.items():
        for number, function in enumerate(identity.functions):
            if owners.setdefault(function, name) != name:
                yield ("identities", name, "functions", number), f"{function} has the identity {owners[function]}"
    for name, service in policy.services.items():
        for problem, said in _of_service(policy, service):
            yield ("services", name, *problem), said


def _of_service(policy: Policy, service: Service) -> Iterator[tuple[Where, str]]:
    listed = {call for calls in service.callers.values() for call in calls}
    for caller, calls in service.callers.items():
        if caller not in policy.identities:
            yield ("callers", caller), f"{caller} is none of the identities"
        for number, call in enumerate(calls):
            if call in calls[:number]:
                yield ("callers", caller, number), f"{call} is listed twice"
    for number, call in enumerate(service.reads):
        if call not in listed:
            yield ("reads", number), f"no caller may call {call}"
    if LIVE not in service.versions:
        yield ("versions",), f"there is no version {LIVE}"
    for version, about in service.versions.items():
        if version == LIVE and about.pin:
            yield ("versions", version, "pin"), "the live version gets all calls without a pin"
    if mirror := service.mirror:
        if mirror.to == LIVE or mirror.to not in service.versions:
            yield ("mirror", "to"), f"{mirror.to} is no version beside {LIVE}"
        for number, call in enumerate(mirror.only):
            if call not in listed:
                yield ("mirror", "only", number), f"no caller may call {call}"
            elif call.method != _SAFE and call not in service.reads:
                yield ("mirror", "only", number), f"{call} is a write: its copy would be done a second time"
    for number, fault in enumerate(service.faults):
        if (fault.delay is None) == (fault.abort is None):
            yield ("faults", number), "a fault has either a delay or an abort"
        if "prod" in fault.environments and fault.when is None:
            yield ("faults", number, "environments"), "in prod, a fault needs the header of `when`"
