"""The operator's commands on a shop on AWS: the stack, the log-in, and the stored tokens."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import httpx
import pytest
from click.testing import CliRunner
from moto import mock_aws

from infra import cli
from infra.operator import login, target
from infra.operator.client import Refused, Shop
from infra.operator.login import LoginNeeded, StoredLogin

STACK = "mercato-prod"
TEMPLATE = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {
        "ApiUrl": {"Value": "https://abc.execute-api.eu-west-1.amazonaws.com/prod/api"},
        "OrdersTable": {"Value": "mercato-prod-orders"},
    },
}


class FakeShop:
    """A fake shop with log-in, refresh tokens that can be used once, and one route of an admin."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.good_refresh = ""
        self.lives = 900
        self.given = 0

    def handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/prod/api")
        self.requests.append(f"{request.method} {path}")
        body = json.loads(request.content or b"{}")
        if path == "/users/login" and body["password"] != "right":
            return problem(401, "invalid-credentials")
        if path == "/users/token/refresh" and body["refresh_token"] != self.good_refresh:
            self.good_refresh = ""
            return problem(401, "refresh-token-reused")
        if path in ("/users/login", "/users/token/refresh"):
            self.given += 1
            self.good_refresh = f"refresh-{self.given}"
            tokens = {"access_token": f"access-{self.given}", "refresh_token": self.good_refresh}
            return httpx.Response(200, json=tokens | {"expires_in": self.lives})
        if path == "/users/logout":
            return httpx.Response(204)
        if request.headers["Authorization"] != f"Bearer access-{self.given}":
            return problem(401, "unauthenticated")
        return httpx.Response(200, json={"items": [], "next_cursor": None, "path": path})


def problem(status: int, slug: str) -> httpx.Response:
    return httpx.Response(status, json={"type": f"urn:mercato:problem:{slug}", "detail": f"this is {slug}"})


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeShop]:
    found = FakeShop()
    monkeypatch.setattr("infra.operator.login.click.get_app_dir", lambda _: str(tmp_path / "config"))
    monkeypatch.setattr(
        login, "Shop", lambda url, transport=None: Shop(url, transport=httpx.MockTransport(found.handle))
    )
    monkeypatch.setattr(target, "choice", target.Choice())
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "MERCATO_STACK", "MERCATO_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        cloudformation = boto3.client("cloudformation", "eu-west-1")
        cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(TEMPLATE))
        yield found


@pytest.fixture
def run(fake: FakeShop) -> Callable[..., tuple[int, str]]:
    def call(*arguments: str, stack: str = STACK) -> tuple[int, str]:
        result = CliRunner().invoke(cli.main, ["--stack", stack, "--region", "eu-west-1", *arguments])
        return result.exit_code, result.output

    return call


@pytest.fixture
def stored(fake: FakeShop) -> StoredLogin:
    shop = target.Target("https://shop.example/prod", "", "eu-west-1", STACK, {}, {})
    return StoredLogin(shop)


LOG_IN = ("login", "--email", "ada@example.com", "--password", "right")


def test_a_command_works_on_the_stack_by_the_log_in_that_was_kept(
    run: Callable[..., tuple[int, str]], fake: FakeShop
) -> None:
    assert run(*LOG_IN) == (0, f"logged in to {STACK} at https://abc.execute-api.eu-west-1.amazonaws.com/prod\n")
    fake.requests.clear()
    status, said = run("saga", "list")
    assert (status, fake.requests) == (0, ["GET /ops/sagas"]), said


def test_the_file_holds_no_password_and_only_its_user_reads_it(
    run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    run(*LOG_IN)
    file = tmp_path / "config" / f"{STACK}.eu-west-1.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "right" not in file.read_text()
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".tmp"] == []


def test_without_a_log_in_the_command_says_how_to_get_one(run: Callable[..., tuple[int, str]], fake: FakeShop) -> None:
    status, said = run("saga", "list")
    assert status == 2
    assert f"mercato --stack {STACK} login" in said
    assert fake.requests == []


def test_a_wrong_password_is_refused_in_the_shop_s_words_and_keeps_nothing(
    run: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    status, said = run("login", "--email", "ada@example.com", "--password", "wrong")
    assert (status, said) == (1, "Error: this is invalid-credentials\n")
    assert not (tmp_path / "config" / f"{STACK}.eu-west-1.json").exists()


def test_a_stack_that_is_not_there_or_no_shop_is_named(run: Callable[..., tuple[int, str]]) -> None:
    status, said = run("saga", "list", stack="mercato-nowhere")
    assert (status, "mercato-nowhere cannot be read" in said) == (2, True)
    boto3.client("cloudformation", "eu-west-1").create_stack(
        StackName="other", TemplateBody=json.dumps({"Resources": TEMPLATE["Resources"]})
    )
    status, said = run("saga", "list", stack="other")
    assert (status, "has no output ApiUrl" in said) == (2, True)


def test_login_without_a_stack_is_a_wrong_use(fake: FakeShop) -> None:
    result = CliRunner().invoke(cli.main, list(LOG_IN))
    assert result.exit_code == 2
    assert "--stack" in result.output


def test_a_token_near_its_end_is_refreshed_once_and_the_new_one_kept(stored: StoredLogin, fake: FakeShop) -> None:
    fake.lives = 30
    stored.log_in("ada@example.com", "right")
    fake.lives = 900
    assert stored.access_token() == stored.access_token() == "access-2"
    assert fake.requests.count("POST /users/token/refresh") == 1


def test_commands_side_by_side_use_a_refresh_token_once(stored: StoredLogin, fake: FakeShop) -> None:
    fake.lives = 30
    stored.log_in("ada@example.com", "right")
    fake.lives = 900
    with ThreadPoolExecutor(8) as commands:
        tokens = set(commands.map(lambda _: stored.access_token(), range(8)))
    assert tokens == {"access-2"}


def test_a_log_in_that_has_ended_is_said_with_the_way_back(stored: StoredLogin, fake: FakeShop) -> None:
    fake.lives = 30
    stored.log_in("ada@example.com", "right")
    fake.good_refresh = ""
    with pytest.raises(LoginNeeded, match="refresh-token-reused"):
        stored.get("/ops/sagas")


def test_a_token_that_the_shop_takes_no_more_is_said_with_the_way_back(stored: StoredLogin, fake: FakeShop) -> None:
    stored.log_in("ada@example.com", "right")
    fake.given = 9
    with pytest.raises(LoginNeeded, match=f"mercato --stack {STACK} login"):
        stored.get("/ops/sagas")


def test_logging_out_ends_the_session_and_forgets_it(stored: StoredLogin, fake: FakeShop) -> None:
    stored.log_in("ada@example.com", "right")
    stored.log_out()
    assert fake.requests[-1] == "POST /users/logout"
    with pytest.raises(LoginNeeded):
        stored.access_token()


def test_an_account_that_is_no_admin_s_is_not_kept(stored: StoredLogin, fake: FakeShop) -> None:
    def forbids(request: httpx.Request) -> httpx.Response:
        return problem(403, "forbidden") if request.url.path.endswith("/ops/services") else fake.handle(request)

    stored._shop = Shop("https://shop.example/prod", transport=httpx.MockTransport(forbids))
    with pytest.raises(Refused, match="forbidden"):
        stored.log_in("customer@example.com", "right")
    assert fake.requests == ["POST /users/login", "POST /users/logout"]
    with pytest.raises(LoginNeeded):
        stored.access_token()


def test_a_table_is_that_of_the_stack(fake: FakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "choice", target.Choice(STACK, "eu-west-1", "https://shop.example/"))
    found = target.chosen()
    assert found.tables == {"orders": "mercato-prod-orders"}
    assert (found.base_url, found.region, found.endpoint) == ("https://shop.example", "eu-west-1", "")
    assert target.client(found, "dynamodb").meta.endpoint_url == "https://dynamodb.eu-west-1.amazonaws.com"
