"""`mercato release`: which version of each function is live, and how to go back or on by hand.

A deploy publishes a version of each function of a service that differs, and moves the alias `live` to it. All versions
of one deploy have the same RELEASE in their settings, a digest of the service (infra/release.py). Versions are kept, so
that a service goes back by its aliases alone, within seconds and without a build.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table

from infra.operator import target
from infra.operator.refusals import explain
from infra.operator.target import Target
from infra.trouble import Trouble

_ALIAS = "live"
_AT_ONCE = 4  # Lambda's control plane takes 15 calls a second
_RUNNING = ["Created", "Queued", "InProgress", "Baking", "Ready"]
_MOST_DEPLOYMENTS = 25  # that CodeDeploy describes in one call


@dataclass(frozen=True)
class Version:
    """One published version of a function. `release` is empty where the version has none."""

    number: int
    release: str
    published: str


@dataclass(frozen=True, eq=False)
class Function:
    """A function and its alias. `live` is the version that the alias names; `beside` has the versions that get a share
    of the calls, with their shares. `revision` is of the alias: a change of it in between is refused by Lambda.
    """

    name: str
    service: str
    versions: tuple[Version, ...]
    live: Version
    beside: Mapping[int, float]
    revision: str

    @property
    def newest(self) -> Version:
        return self.versions[-1]


@dataclass(frozen=True)
class Move:
    """What one alias is set to. `share` of the calls, 0 to 1, goes to `beside`, and the rest to `live`."""

    function: Function
    live: Version
    beside: Version | None = None
    share: float = 0.0

    def __str__(self) -> str:
        before = f"{self.function.live.number}{_shares(self.function.beside)}"
        return f"{before} → {self.live.number}{_shares({self.beside.number: self.share} if self.beside else {})}"


def read(shop: Target, services: Sequence[str]) -> list[Function]:
    """The functions of the services, or of all where none is named, by name. Raises Trouble for an unknown service."""
    aws_lambda = target.client(shop, "lambda")
    pages = aws_lambda.get_paginator("list_functions").paginate()
    ours = {
        one["FunctionName"]: _settings(one).get("POWERTOOLS_SERVICE_NAME", "")
        for page in pages
        for one in page["Functions"]
        if target.is_of(shop.stack, one)
    }
    known = sorted(set(ours.values()) - {""})
    if unknown := sorted(set(services) - set(known)):
        raise Trouble(f"{shop.stack} has no service {', '.join(unknown)}", f"It has {', '.join(known)}.")
    wanted = sorted(name for name, service in ours.items() if service and (not services or service in services))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda name: _read(aws_lambda, name, ours[name]), wanted))


def _read(aws_lambda: Any, name: str, service: str) -> Function:
    pages = aws_lambda.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    versions = sorted(
        (
            Version(int(one["Version"]), _settings(one).get("RELEASE", ""), one["LastModified"])
            for page in pages
            for one in page["Versions"]
            if one["Version"] != "$LATEST"
        ),
        key=lambda version: version.number,
    )
    alias = aws_lambda.get_alias(FunctionName=name, Name=_ALIAS)
    by_number = {version.number: version for version in versions}
    weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return Function(
        name,
        service,
        tuple(versions),
        by_number[int(alias["FunctionVersion"])],
        {int(number): share for number, share in weights.items()},
        alias["RevisionId"],
    )


def _settings(function: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = function.get("Environment", {}).get("Variables", {})
    return found


def to_the_version_before(functions: Iterable[Function]) -> list[Move]:
    """The moves by which each service goes back. Where a share of the calls goes to a version beside the live one, that
    share ends, and no more; else the aliases go to the release before the live one.

    A function that had no version in that release stays: it is new, or was not part of the service. Raises Trouble for
    a service that has no release before.
    """
    moves = []
    for service, ours in _by_service(functions).items():
        if any(function.beside for function in ours):
            moves += [Move(function, function.live) for function in ours if function.beside]
            continue
        # Of two releases, a rollback that died in the middle has left the newer one in some functions.
        live = max((function.live for function in ours), key=lambda version: version.published).release
        before = {
            function: [version for version in function.versions[: _place_of(live, function)] if version.release != live]
            for function in ours
        }
        if not any(before.values()):
            raise Trouble(
                f"{service} has no release before the live one", "Deploy the version that you want from its checkout."
            )
        newest = max(itertools.chain(*before.values()), key=lambda version: version.published)
        for function, versions in before.items():
            of_it = [version for version in versions if version.release == newest.release]
            if of_it and of_it[-1] != function.live:
                moves.append(Move(function, of_it[-1]))
    return moves


def _place_of(release: str, function: Function) -> int:
    """Among the function's versions, of its first one in that release; else the place behind the live one."""
    places = [place for place, version in enumerate(function.versions) if version.release == release]
    return places[0] if places else function.versions.index(function.live) + 1


def published_since(functions: Iterable[Function], moment: datetime) -> list[Function]:
    """The functions of the services whose live release was published at `moment` or later: those of one deploy. A
    service without another release is left out, since it can only go back to nothing.
    """
    return [
        function
        for ours in _by_service(functions).values()
        if any(datetime.fromisoformat(one.live.published) >= moment for one in ours)
        if len({version.release for one in ours for version in one.versions}) > 1
        for function in ours
    ]


def to_share(functions: Iterable[Function], percent: int) -> list[Move]:
    """The moves by which the newest version of each function gets that part of the calls. With 100 it is the live one;
    with 0 it gets none. Functions whose newest version is live already stay. Raises Trouble where no move is left.
    """
    functions = list(functions)
    moves = []
    for function in functions:
        if function.newest.number == function.live.number and not function.beside:
            continue
        if percent == 100:
            moves.append(Move(function, function.newest))
        elif percent and function.newest.number != function.live.number:
            moves.append(Move(function, function.live, function.newest, percent / 100))
        else:
            moves.append(Move(function, function.live))
    if not moves:
        services = ", ".join(sorted({function.service for function in functions}))
        raise Trouble(f"the newest versions of {services} are live already", "Publish another one first.")
    return moves


def make(shop: Target, moves: Sequence[Move]) -> Iterator[Move]:
    """Makes the moves and yields each when it is made. Idempotent. Raises Trouble at the first that fails; those before
    it are made.
    """
    aws_lambda = target.client(shop, "lambda")
    for move in moves:
        weights = {str(move.beside.number): move.share} if move.beside else {}
        try:
            aws_lambda.update_alias(
                FunctionName=move.function.name,
                Name=_ALIAS,
                FunctionVersion=str(move.live.number),
                RoutingConfig={"AdditionalVersionWeights": weights},
                RevisionId=move.function.revision,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailedException":
                raise
            raise Trouble(
                f"the alias of {move.function.name} was changed by someone else just now",
                "Look at mercato release status, and try again.",
            ) from error
        yield move


def _by_service(functions: Iterable[Function]) -> dict[str, list[Function]]:
    found: dict[str, list[Function]] = {}
    for function in functions:
        found.setdefault(function.service, []).append(function)
    return found


def _shares(beside: Mapping[int, float]) -> str:
    return "".join(f" + {share:.0%} to {number}" for number, share in sorted(beside.items()))


@dataclass(frozen=True)
class Deployment:
    """A deployment of CodeDeploy, which moves the calls of one function to a new version."""

    id: str
    service: str
    status: str
    began: datetime


def running_deployments(shop: Target, services: Sequence[str]) -> list[Deployment]:
    """CodeDeploy's deployments of the services that have not ended. There are none outside a deploy of the stack, and
    the local cloud has no CodeDeploy.
    """
    if shop.endpoint or not _status(shop).endswith("_IN_PROGRESS"):
        return []
    codedeploy = target.client(shop, "codedeploy")
    pages = codedeploy.get_paginator("list_deployments").paginate(includeOnlyStatuses=_RUNNING)
    running = [one for page in pages for one in page["deployments"]]
    # CloudFormation begins an application's name with its stack's, whose name begins with its parent's and its own id.
    return [
        Deployment(one["deploymentId"], service, one["status"], one["createTime"])
        for some in itertools.batched(running, _MOST_DEPLOYMENTS, strict=False)
        for one in codedeploy.batch_get_deployments(deploymentIds=list(some))["deploymentsInfo"]
        for service in services
        if one["applicationName"].startswith(f"{shop.stack}-{service.capitalize()}-")
    ]


def stop(shop: Target, deployment: Deployment) -> None:
    """CodeDeploy moves the alias back to the version before. Idempotent: a deployment that has ended stays as it is."""
    try:
        target.client(shop, "codedeploy").stop_deployment(deploymentId=deployment.id, autoRollbackEnabled=True)
    except ClientError as error:
        if error.response["Error"]["Code"] != "DeploymentAlreadyCompletedException":
            raise


def _status(shop: Target) -> str:
    stack = target.client(shop, "cloudformation").describe_stacks(StackName=shop.stack)["Stacks"][0]
    return str(stack["StackStatus"])


def _refuse_during_a_deploy(shop: Target) -> None:
    """CloudFormation and CodeDeploy move the same aliases, and would find them elsewhere."""
    status = _status(shop)
    if not status.endswith("_IN_PROGRESS"):
        return
    cancel = f"To undo it: aws cloudformation cancel-update-stack --stack-name {shop.stack} --region {shop.region}"
    raise Trouble(
        f"{shop.stack} is {status}: a deploy moves the aliases now",
        # CloudFormation cancels in no other state, such as while it cleans up after a deploy.
        cancel if status == "UPDATE_IN_PROGRESS" else "Wait until it has ended, and run this again.",
    )


@click.group()
def release() -> None:
    """Versions of the functions: see which are live, go back, or give a new one a share of the calls.

    \b
    mercato release status                 every function: the live version, its release, what is beside it
    mercato release rollback orders        the service goes back to its release before
    mercato release share orders 10        the newest versions get 10 % of the calls; 100 makes them live
    """


_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("service", "left"),
    ("function", "left"),
    ("live", "right"),
    ("release", "left"),
    ("published", "left"),
    ("beside", "left"),
    ("newer", "right"),
)

_services = click.argument("services", nargs=-1)


@release.command()
@_services
def status(services: tuple[str, ...]) -> None:
    """Show the live version of each function of the SERVICES, or of all, and the deployments that run."""
    shop, functions = _read_or_end(services)
    table = Table(title=f"{shop.stack}, by the alias {_ALIAS}", title_justify="left")
    for heading, justify in _COLUMNS:
        table.add_column(heading, justify=justify, overflow="fold")
    for service, ours in sorted(_by_service(functions).items()):
        for number, function in enumerate(ours):
            is_newest = function.newest.number == function.live.number
            table.add_row(
                "" if number else service,
                function.name.removeprefix(f"{shop.stack}-"),
                str(function.live.number),
                function.live.release[:8] or "–",
                function.live.published[5:16].replace("T", " "),
                _shares(function.beside).removeprefix(" + ") or "–",
                "–" if is_newest else f"[yellow]{function.newest.number}[/]",
                end_section=number + 1 == len(ours),
            )
    Console().print(table)
    try:
        running = running_deployments(shop, sorted({function.service for function in functions}))
    except (ClientError, BotoCoreError) as error:
        raise click.ClickException(f"CodeDeploy's deployments cannot be read: {explain(error)}") from None
    for one in running:
        began = one.began.astimezone(UTC)
        click.echo(f"CodeDeploy moves calls of {one.service}: {one.id} is {one.status} since {began:%H:%M:%S} UTC")


@release.command()
@click.argument("services", nargs=-1, required=True)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    help="Only services whose live release was published then or later (UTC).",
)
def rollback(services: tuple[str, ...], since: datetime | None) -> None:
    """Return the SERVICES to the release before the live one; `all` names every service.

    Where a new version has a share of the calls, that share ends, and the live version stays. Data is not touched. The
    next deploy with a change publishes and goes on from there.

    `all` takes back services that the last deploy left as they were, too. With --since and the time at which that
    deploy began, they stay, and so do services that are new.

    While CodeDeploy moves the calls of a SERVICE to new versions, its deployments are stopped instead: CodeDeploy moves
    the aliases back, and CloudFormation rolls back the whole deploy.
    """
    shop, functions = _read_or_end(() if services == ("all",) else services)
    try:
        running = running_deployments(shop, sorted({function.service for function in functions}))
        for deployment in running:
            stop(shop, deployment)
            click.echo(f"stopped: CodeDeploy's deployment {deployment.id}")
    except (ClientError, BotoCoreError) as error:
        raise click.ClickException(
            f"CodeDeploy's deployments were not all stopped: {explain(error)} Run it again."
        ) from None
    if running:
        click.echo(
            "CodeDeploy moves the aliases back to the versions before, and CloudFormation rolls the deploy back. "
            "Look at mercato release status."
        )
        return
    if since and not (functions := published_since(functions, since.replace(tzinfo=UTC))):
        click.echo(f"unchanged: no service has a live release since {since:%Y-%m-%dT%H:%M:%SZ} and one before it")
        return
    _carry_out(shop, functions, to_the_version_before)


@release.command()
@click.argument("service")
@click.argument("percent", type=click.IntRange(0, 100))
def share(service: str, percent: int) -> None:
    """Send PERCENT of the SERVICE's calls to its newest versions; 100 makes them live, 0 ends the share."""
    shop, functions = _read_or_end((service,))
    _carry_out(shop, functions, lambda found: to_share(found, percent))


def _read_or_end(services: Sequence[str]) -> tuple[Target, list[Function]]:
    shop = target.chosen()
    try:
        return shop, read(shop, services)
    except Trouble as trouble:
        raise click.ClickException(f"{trouble.what}. {trouble.remedy}") from None
    except (ClientError, BotoCoreError) as error:
        raise target.NoShop(f"the functions of {shop.stack} cannot be read: {explain(error)}") from None


def _carry_out(shop: Target, functions: list[Function], plan: Callable[[list[Function]], list[Move]]) -> None:
    try:
        _refuse_during_a_deploy(shop)
        moves = plan(functions)
        for move in make(shop, moves):
            click.echo(f"{move.function.name.removeprefix(f'{shop.stack}-')}: {move}")
    except Trouble as trouble:
        raise click.ClickException(f"{trouble.what}. {trouble.remedy}") from None
    except (ClientError, BotoCoreError) as error:
        raise click.ClickException(f"not all aliases were moved: {explain(error)} Run it again.") from None
    staying = sorted({one.name for one in functions} - {move.function.name for move in moves})
    if staying:
        click.echo(f"unchanged: {', '.join(name.removeprefix(f'{shop.stack}-') for name in staying)}")
