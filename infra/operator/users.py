"""`mercato users`: accounts and their signing keys."""

from __future__ import annotations

import click

from infra.operator import accounts, target
from infra.trouble import Trouble
from mercato.errors import DomainError

_ROTATIONS = {
    "rotated": "the next key signs now; the previous one stays valid for the tokens that it has signed",
    "unchanged": "unchanged: the keys were made or rotated within the hour, and caches may lack the next one",
    "published": "the published keys differed from the stored ones and are updated; run it again to rotate",
    "created": "the first keys were made",
}


@click.group()
def users() -> None:
    """Accounts and signing keys: actions that only an operator may do."""


@users.command()
@click.argument("email")
def promote(email: str) -> None:
    """Make the account with this address an admin. Takes effect at the next log-in."""
    try:
        user_id = accounts.promote(target.chosen(), email)
    except DomainError as error:
        raise click.ClickException(error.detail) from None
    click.echo(f"{email} ({user_id}) is an admin now")


@users.command()
@click.argument("email")
def demote(email: str) -> None:
    """Make the account with this address a customer, and end all its sessions within a minute."""
    try:
        user_id = accounts.demote(target.chosen(), email)
    except DomainError as error:
        raise click.ClickException(error.detail) from None
    click.echo(f"{email} ({user_id}) is a customer now, and is logged out everywhere within a minute")


@users.command("rotate-keys")
def rotate_keys() -> None:
    """Rotate the keys that sign the access tokens, as the schedule does every 30 days. Ends no session."""
    try:
        outcome = accounts.rotate_keys(target.chosen())
    except Trouble as trouble:
        raise click.ClickException(f"{trouble.what}: {trouble.remedy}") from None
    click.echo(_ROTATIONS[outcome])
