"""Starts the whole shop on this machine: cloud, build, deploy, registry, keys and goods. Stops and removes it again."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
from rich.console import Console

from infra.local import build, processes, reload
from infra.local.cloud import Cloud
from infra.local.deploy import Deployment
from infra.local.easypost import process as easypost
from infra.local.easypost.process import LocalEasyPost
from infra.local.faults import FaultProxy
from infra.local.localstripe import LocalStripe
from infra.local.mesh import LocalIngress, Sidecars
from infra.local.reverse_proxy import ReverseProxy, Served
from infra.local.sam_local import register_peers, write_environment
from infra.local.seed import Goods, hang_pictures, open_shelves
from infra.local.stack import STACK, Stack
from infra.operator import target
from infra.operator.accounts import promote
from infra.operator.client import Shop, ShopError
from infra.operator.target import Account, State
from infra.paths import HOME, ROOT
from infra.trouble import Trouble


@dataclass
class LocalShop:
    """The running shop. `start` starts it step by step, and `stop` stops all parts, also after an incomplete start."""

    console: Console
    port: int = 3000
    cloud_port: int = 4566
    on_request: Callable[[Served], None] = lambda served: None
    goods: list[Goods] = field(default_factory=list)
    faults: float = 0.0  # the share of the functions' AWS calls that fail, once the shop is open
    functions_endpoint: str = ""  # the functions' AWS endpoint, if it is not the cloud itself
    parameters: Mapping[str, str] = field(default_factory=dict)  # of the template, over samconfig.toml's
    is_empty: bool = False  # without accounts and goods, as after a deploy to AWS
    password: str = ""  # the password of both accounts; empty: a random one for each
    stripe: LocalStripe | None = None  # the payment provider, if it is not the sandbox
    mesh_ingress: str = ""  # where the ingress of a running shop with the mesh is
    has_mesh: bool = False
    stripe_api: str = ""  # the functions' URL of Stripe, if it is not the process itself
    carrier: str = "sandbox"  # the template's Carrier
    easypost: LocalEasyPost | None = None  # with the carrier easypost
    easypost_api: str = ""  # where the stand-in of EasyPost is, of a shop that runs

    def __post_init__(self) -> None:
        self.cloud = Cloud(self.cloud_port)
        self.proxy = FaultProxy(self.cloud) if self.faults else None
        self.functions_endpoint = self.functions_endpoint or self.cloud.endpoint
        self.ingress = LocalIngress(self.cloud) if self.has_mesh else None
        self.mesh_ingress = self.ingress.address if self.ingress else self.mesh_ingress
        if self.easypost:
            self.carrier, self.easypost_api = easypost.NAME, self.easypost.url
        self._reverse_proxy: ReverseProxy | None = None
        self._steps = 0
        self._saved: dict[str, str] = {}  # the code that was live when the build began

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> State:
        processes.require_free(self.port, "the shop's API", "PORT")
        with self._step("building the functions and their layer, starting the local cloud"):
            template = self._build_beside(self._start_cloud)
        if self.stripe:
            with self._step("starting localstripe"):
                self.stripe.start(self.cloud)
                self.stripe_api = self.stripe_api or self.stripe.url
        if self.easypost:
            with self._step("starting the stand-in of EasyPost"):
                self.easypost.start(self.cloud)
        with self._step("deploying the template"):
            self.deploy(template)
        if self.ingress:
            with self._step("opening the mesh's ingress"):
                self.ingress.start(Stack.read(self.cloud))
        with self._step("registering the services, making the signing keys"):
            stack = self.settle()
            self._introduce_stripe(stack)
            self._introduce_easypost(stack)
        find = {"api": stack.api_url, "console": lambda: stack.site_url("ConsoleSite")}
        find["shop"] = lambda: stack.site_url("StorefrontSite")
        self._reverse_proxy = ReverseProxy(
            self.port, find, stack.signed_media_url, lambda served: self.on_request(served)
        )
        with self._step(f"opening {self.base_url}"):
            self._reverse_proxy.start()
            self._require_health()
        with self._step("noting the log-ins" if self.is_empty else "stocking the shelves"):
            found = self._seed(stack)
        if self.proxy:
            self.proxy.inject(self.faults)
        return found

    def _start_cloud(self) -> None:
        self.cloud.start()
        if self.proxy:
            self.proxy.start()
            self.functions_endpoint = self.proxy.endpoint

    def _build_beside(self, other: Callable[[], None]) -> Path:
        """Builds in a second thread while `other` runs in this one. Returns the template's path.

        Child processes end with the thread that starts them, so `other` must run in this thread.
        """
        with ThreadPoolExecutor(1) as builder:
            built = builder.submit(self.build)
            other()
            return built.result()

    def build(self, only: Collection[str] = ()) -> Path:
        """Builds the shop and returns the template's path. If `only` names services, the others are not changed."""
        self._saved = reload.saved(self.code)
        return build.prepare(self._target, only, mesh=bool(self.mesh_ingress))

    def deploy(self, template: Path) -> None:
        chosen = {"PaymentProvider": "stripe", "StripeApi": self.stripe_api} if self.stripe_api else {}
        chosen |= easypost.parameters(self.easypost_api) if self.easypost_api else {"Carrier": self.carrier}
        sidecars = Sidecars.of(self.mesh_ingress, template) if self.mesh_ingress else None
        meshed = {"Mesh": "on"} if sidecars else {}
        Deployment(self.cloud, STACK, self.functions_endpoint, self.code, sidecars=sidecars).deploy(
            template, {"ShopUrl": self.base_url, "ConsoleUrl": self.base_url, **self.parameters, **chosen, **meshed}
        )
        reload.clear(self.code, self._saved)
        build.remove_unused()

    @property
    def _target(self) -> Path:
        return HOME / f"deploy-{self.cloud_port}"

    @property
    def code(self) -> Path:
        """The folder with the code that was saved since the deploy."""
        return reload.folder(self.cloud_port)

    def settle(self) -> Stack:
        """Does the steps after the deploy.

        Only the local cloud needs the local URLs in the registry and the gateway's responses. On AWS an operator
        creates the sender's identity and the keys.
        """
        stack = Stack.read(self.cloud)
        stack.answer_as_the_template_says(ROOT / "template.yaml")
        stack.register_local_urls(self.functions_endpoint)
        stack.verify_sender()
        stack.make_signing_keys()
        register_peers(stack)
        write_environment(stack)
        return stack

    def stop(self) -> None:
        if self._reverse_proxy is not None:
            self._reverse_proxy.stop()
            self._reverse_proxy = None
        for part in (self.ingress, self.proxy, self.stripe, self.easypost):
            if part is not None:
                part.stop()
        if not self.cloud.stop():
            return  # the state belongs to the shop that uses the port
        shutil.rmtree(self._target, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            if json.loads(target.path().read_text())["endpoint"] == self.cloud.endpoint:
                target.path().unlink()

    def require_running(self) -> None:
        """Raises Trouble if one of its processes has ended by itself."""
        for part in self._parts():
            part.child.require_running()

    def _parts(self) -> list[Cloud | FaultProxy | LocalIngress | LocalStripe | LocalEasyPost]:
        parts = (self.ingress, self.proxy, self.stripe, self.easypost, self.cloud)
        return [part for part in parts if part is not None]

    def _introduce_stripe(self, stack: Stack) -> None:
        """Stores Stripe's two secrets in the shop and registers the shop's webhook. An operator does this on AWS."""
        if self.stripe:
            stack.put_secret("StripeKey", self.stripe.key)
            stack.put_secret("StripeWebhookSecret", self.stripe.webhook_secret)
            self.stripe.tell(f"{self.base_url}/api/payments/webhooks/stripe")

    def _introduce_easypost(self, stack: Stack) -> None:
        """Stores EasyPost's key in the shop, and registers the shop's webhook with the secret that the stack has made.
        An operator does this on AWS.
        """
        if self.easypost:
            stack.put_secret("EasyPostKey", self.easypost.key)
            webhook = f"{self.base_url}/api/shipments/webhooks/easypost"
            self.easypost.tell(webhook, stack.secret("CarrierWebhookSecret"))

    def _require_health(self) -> None:
        answers: list[httpx.Response] = []

        def healthy() -> bool:
            try:
                answers.append(httpx.get(f"{self.base_url}/api/health", timeout=30))
            except httpx.HTTPError:
                return False
            return answers[-1].status_code == 200

        if not processes.wait_until(healthy, 60, every=0.5):
            last = f"{answers[-1].status_code} {answers[-1].text[:500]}" if answers else "no answer"
            raise Trouble(f"GET {self.base_url}/api/health says: {last}", self.cloud.child.last_words())

    def hang_pictures(self, found: State) -> None:
        """Uploads the goods' pictures. Runs after the shop has opened, so that the start does not wait for it."""
        if not self.goods:
            return
        shop = Shop(self.base_url)
        try:
            hang_pictures(shop.login(found.admin.email, found.admin.password), self.goods)
        except (ShopError, httpx.HTTPError) as error:
            self.console.print(f"[yellow]![/] not all goods have a picture: {error}")
        finally:
            shop.close()

    def _seed(self, stack: Stack) -> State:
        admin = Account("admin@mercato.example", self.password or secrets.token_urlsafe(12))
        customer = Account("customer@mercato.example", self.password or secrets.token_urlsafe(12))
        found = stack.state(self.base_url, self.functions_endpoint, admin, customer, self.stripe_api, self.mesh_ingress)
        found = replace(found, carrier=self.carrier, easypost_api=self.easypost_api, parameters=dict(self.parameters))
        if self.is_empty:
            target.save(found)
            return found
        shop = Shop(self.base_url)
        shop.register(admin.email, admin.password, "Ada Admin")
        shop.register(customer.email, customer.password, "Carl Customer")
        promote(found, admin.email)
        self.goods = open_shelves(shop.login(admin.email, admin.password), found.outputs["Currency"])
        shop.close()
        target.save(found)
        return found

    @contextlib.contextmanager
    def _step(self, what: str) -> Iterator[None]:
        self._steps += 1
        started = time.monotonic()
        with self.console.status(f"{what} …"):
            yield
        self.console.print(f"[green]✔[/] {what} [dim]{time.monotonic() - started:.1f} s[/]")
