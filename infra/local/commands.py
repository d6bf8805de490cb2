"""`mercato up` and `mercato deploy`: the shop on this machine."""

from __future__ import annotations

import signal
import sys
import threading
import time
from dataclasses import replace
from types import FrameType
from typing import Any
from urllib.parse import urlparse

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from infra.local import reload
from infra.local.build import SERVICES
from infra.local.easypost.process import LocalEasyPost
from infra.local.localstripe import LocalStripe
from infra.local.reload import Reloader
from infra.local.stack import Stack
from infra.local.stream import Stream
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.client import ShopError
from infra.trouble import Trouble


@click.command()
@click.option("--port", default=3000, show_default=True, envvar="PORT", help="The shop's own port.")
@click.option("--cloud-port", default=4566, show_default=True, envvar="CLOUD_PORT", help="The local cloud's port.")
@click.option("--quiet", is_flag=True, help="Do not stream requests, events and saga steps.")
@click.option(
    "--faults",
    default=0.0,
    type=click.FloatRange(0, 1, max_open=True),
    help="Throttle, reset or lose this share of the functions' AWS calls, such as 0.1, once the shop is open.",
)
@click.option(
    "--payments",
    type=click.Choice(["sandbox", "stripe"]),
    default="sandbox",
    show_default=True,
    help="The payment provider: the sandbox, or localstripe, which emulates Stripe on this machine.",
)
@click.option(
    "--carrier",
    type=click.Choice(["sandbox", "manual", "easypost"]),
    default="sandbox",
    show_default=True,
    help="Who brings the parcels: the sandbox, your staff, or a stand-in of EasyPost on this machine.",
)
@click.option("--easypost-port", default=8430, show_default=True, envvar="EASYPOST_PORT", help="The stand-in's port.")
@click.option("--mesh", is_flag=True, help="Let the services call each other through the service mesh (docs/mesh.md).")
@click.option("--stripe-port", default=8420, show_default=True, envvar="STRIPE_PORT", help="localstripe's port.")
@click.option(
    "--currency",
    default="GBP",
    show_default=True,
    envvar="CURRENCY",
    help="ISO 4217's code of the shop's currency. Goods and rates cost the same number of minor units in each.",
)
@click.option("--empty", is_flag=True, help="Open without accounts and goods, for `mercato restore`.")
@click.option(
    "--password", envvar="MERCATO_PASSWORD", default="", help="Password of both log-ins.  [default: one random each]"
)
def up(  # noqa: PLR0913  click passes each option as a parameter
    port: int,
    cloud_port: int,
    quiet: bool,
    faults: float,
    payments: str,
    carrier: str,
    easypost_port: int,
    mesh: bool,
    stripe_port: int,
    currency: str,
    empty: bool,
    password: str,
) -> None:
    """Run the whole shop on this machine until Ctrl-C.

    Starts the local cloud, builds and deploys template.yaml, imports and stocks a catalogue, and prints the address,
    the log-ins and commands to try. Then it streams requests, events and saga steps. Saved code is live a moment later.
    Each start creates a new shop. The end stops all processes.
    """
    console = Console(highlight=False)
    stream = Stream(console)
    stripe = LocalStripe(stripe_port) if payments == "stripe" else None
    shop = LocalShop(
        console,
        port,
        cloud_port,
        faults=faults,
        stripe=stripe,
        carrier=carrier,
        easypost=LocalEasyPost(easypost_port) if carrier == "easypost" else None,
        has_mesh=mesh,
        is_empty=empty,
        password=password,
        parameters={"Currency": currency},
    )
    ended = threading.Event()
    reloader: Reloader | None = None

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if ended.is_set():
            return
        ended.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    status = 0
    try:
        found = shop.start()
        _welcome(console, found, shop.goods[0].product_id if shop.goods else "")
        threading.Thread(target=shop.hang_pictures, args=(found,), name="pictures", daemon=True).start()
        stack = Stack.read(shop.cloud)
        reloader = Reloader(reload.folder(cloud_port), stack.handlers(), stream.reload)
        reloader.start()
        if not quiet:
            shop.on_request = stream.request
            stream.follow(stack)
        while not ended.wait(1):
            shop.require_running()
    except KeyboardInterrupt:
        console.print("\nclosing the shop …")
    except (Trouble, ShopError) as trouble:
        console.print(f"[bold red]✘ {getattr(trouble, 'what', trouble)}[/]")
        console.print(getattr(trouble, "remedy", "") or shop.cloud.child.last_words(), markup=False)
        status = 1
    finally:
        ended.set()
        stream.stop()
        if reloader:
            reloader.stop()
        shop.stop()
    console.print("closed; nothing is left running")
    sys.exit(status)


def _welcome(console: Console, found: Any, product_id: str) -> None:
    url, currency = f"{found.base_url}/api", found.outputs["Currency"]
    table = Table.grid(padding=(0, 2))
    for name, site in (("shop", f"{found.base_url}/"), ("console", f"{found.base_url}/console")):
        table.add_row(f"[bold]{name}[/]", f"[link={site}]{site}[/link]")
    table.add_row("[bold]API[/]", f"[link={url}]{url}[/link]")
    table.add_row("[bold]customer[/]", f"{found.customer.email}  {found.customer.password}")
    table.add_row("[bold]admin[/]", f"{found.admin.email}  {found.admin.password}")
    table.add_row("[bold]cloud[/]", f"{found.endpoint}  (AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test)")
    if found.stripe_api:
        table.add_row("[bold]Stripe[/]", f"{found.stripe_api}/v1/payment_intents  (any key that begins with sk_)")
    if found.easypost_api:
        table.add_row("[bold]EasyPost[/]", f"{found.easypost_api}/v2/shipments  (the key is in EasyPostKey)")
    console.print(Panel(table, title="the shop is open", border_style="green", expand=False))
    read_token = 'import json,sys; print(json.load(sys.stdin)["access_token"])'
    bearer = '-H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: $(date +%s)"'
    login = f'{{"email":"{found.customer.email}","password":"{found.customer.password}"}}'
    card = "pm_card_visa" if found.stripe_api else "tok_ok"
    order = (
        f'{{"lines":[{{"product_id":"{product_id}","quantity":2,"unit_price":{{"amount":3450,"currency":"{currency}"}}}}],'
        f'"payment_token":"{card}",'
        '"shipping_address":{"name":"Carl","line1":"1 Quay","city":"Leith",'
        '"postcode":"EH6 6QQ","country":"GB"}}'
    )
    json_header = "-H 'Content-Type: application/json'"
    if not product_id:
        console.print("It has no accounts and no goods yet: mercato restore ‹backup›. Ctrl-C closes the shop.\n")
        return
    console.print("Try:", style="bold")
    for line in (
        f"curl -s '{url}/products?q=lamp'",
        f"TOKEN=$(curl -s {url}/users/login {json_header} -d '{login}' | python3 -c '{read_token}')",
        f"curl -si {url}/orders {bearer} {json_header} -d '{order}'",
    ):
        console.print("  " + line, soft_wrap=True, markup=False)
    if found.easypost_api:
        console.print("Orders of the checkout go by EasyPost; these lines choose no service, so staff sends theirs.")
    demo = "" if found.stripe_api or found.carrier != "sandbox" else "In another terminal: [bold]make demo[/]. "
    console.print(f"\n{demo}Ctrl-C closes the shop.\n")


@click.command()
@click.argument("services", nargs=-1, type=click.Choice(SERVICES))
def deploy(services: tuple[str, ...]) -> None:
    """Build the changed code and templates and deploy them to the running shop.

    If SERVICES are given, such as `carts`, only these are deployed.
    """
    console = Console(highlight=False)
    found = target.load()
    shop = LocalShop(
        console,
        urlparse(found.base_url).port or 3000,
        urlparse(found.endpoint).port or 4566,
        functions_endpoint=found.functions_endpoint,
        stripe_api=found.stripe_api,
        mesh_ingress=found.mesh_ingress,
        carrier=found.carrier,
        easypost_api=found.easypost_api,
        parameters=found.parameters,
    )
    try:
        started = time.monotonic()
        with console.status("building and deploying …"):
            shop.deploy(shop.build(services))
            stack = shop.settle()
        target.save(replace(found, outputs=stack.outputs, tables=stack.tables))
    except Trouble as trouble:
        console.print(f"[bold red]✘ {getattr(trouble, 'what', trouble)}[/]")
        console.print(trouble.remedy, markup=False)
        sys.exit(1)
    console.print(
        f"[green]✔[/] deployed {', '.join(services) or 'what has changed'} [dim]{time.monotonic() - started:.1f} s[/]"
    )
