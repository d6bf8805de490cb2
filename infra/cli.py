"""`mercato`: the local cloud and the operator's commands."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import click

from infra.trouble import Trouble

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

    from mercato.errors import TransientError

# Each command is imported when it is called, so that `mercato --help` is fast. Name → (module, attribute, help).
_COMMANDS = {
    "up": ("infra.local.commands", "up", "Run the whole shop on this machine until Ctrl-C."),
    "deploy": ("infra.local.commands", "deploy", "Build the code and deploy it to the running shop."),
    "demo": ("infra.demo.command", "demo", "Run the shop's stories, good and bad."),
    "replay": ("infra.replay.command", "replay", "Place real orders and check the books."),
    "trace": ("infra.operator.trace.command", "trace", "Show a request as a tree, from the logs."),
    "saga": ("infra.operator.saga", "saga", "Sagas: list, show, resume, redrive."),
    "orders": ("infra.operator.orders", "orders", "Orders: rebuild data derived from events."),
    "products": ("infra.operator.products", "products", "Products: reindex the catalogue."),
    "inventory": ("infra.operator.inventory", "inventory", "Stock: audit it."),
    "dlq": ("infra.operator.dlq", "dlq", "Dead letters: list, show, redrive."),
    "events": ("infra.operator.events", "events", "Past events: deliver them to a consumer again."),
    "backup": ("infra.operator.backup.command", "backup", "Copy all tables of the shop to a directory."),
    "restore": ("infra.operator.backup.command", "restore", "Restore a backup to an unused shop."),
    "contract": (
        "infra.contract.command",
        "contract",
        "Generate the event schemas, docs/events.md and docs/openapi.json.",
    ),
    "status": ("infra.operator.status", "status", "Show the shop's state on one screen."),
    "smoke": ("infra.operator.smoke", "smoke", "Check after a deploy that the shop serves requests."),
    "doctor": ("infra.operator.doctor", "doctor", "Check what a shop on AWS needs, and print the remedies."),
    "release": ("infra.operator.releases", "release", "Versions: which are live, roll back, share the calls."),
    "login": ("infra.operator.login", "login", "Log in to a shop on AWS, which --stack names."),
    "logout": ("infra.operator.login", "logout", "End the log-in to a shop on AWS."),
    "users": ("infra.operator.users", "users", "Accounts: make an admin. Signing keys: rotate them."),
    "mesh": ("infra.mesh.command", "mesh", "The service mesh: its policy, certificates, and versions' shares."),
    "iam": ("infra.local.iam.command", "iam", "Permissions that are granted but not used."),
}


def _errors_of_aws() -> tuple[type[BotoCoreError], type[ClientError]]:
    """Imports botocore when a command has failed, so that `mercato --help` is fast."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def _error_of_services() -> type[TransientError]:
    """What a service's own code raises in a command, where AWS throttles it or does not answer."""
    from mercato.errors import TransientError

    return TransientError


class _Lazy(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Trouble as trouble:
            raise click.ClickException(str(trouble)) from None
        except _errors_of_aws() as error:
            from infra.operator.refusals import explain

            raise click.ClickException(f"AWS refused: {explain(error)}") from None
        except _error_of_services() as error:
            raise click.ClickException(f"AWS does not answer now: {error}\nRun the same command again.") from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stack", envvar="MERCATO_STACK", help="A shop on AWS, by the name of its root stack.")
@click.option("--region", envvar="AWS_REGION", help="The region of that stack; default: that of your AWS profile.")
@click.option("--url", envvar="MERCATO_URL", help="The URL of that shop's API, if not the stack's own.")
def main(stack: str | None, region: str | None, url: str | None) -> None:
    """Mercato on this machine and on AWS: a commerce back end, its local cloud, and the operator's commands.

    Start with `mercato up`, then try `mercato demo` in another terminal. The operator's commands work on that shop, or
    with --stack on one on AWS, with your AWS credentials and the log-in of `mercato --stack … login`.
    """
    if stack:
        from infra.operator import target

        target.choice = target.Choice(stack, region, url or "")


if __name__ == "__main__":
    main()
