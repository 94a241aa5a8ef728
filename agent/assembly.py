"""The agent put together from its settings: every part once, nothing running yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from agent.cloud.embedded import EmbeddedLink
from agent.codec import awss
from agent.config import Settings
from agent.credentials import Credentials, device_secret_name, product_secret_name
from agent.errors import StoreError
from agent.events import EventLog
from agent.gateway.bindings import Bindings
from agent.gateway.documents import Document, iso
from agent.gateway.door import Door
from agent.gateway.facade import Gateway, Surroundings
from agent.gateway.history import History
from agent.gateway.ledger import Ledger
from agent.gateway.roster import Roster
from agent.gateway.starts import Starts, identify
from agent.health import Health
from agent.ingress import Ingress
from agent.jobs.discovery import Discovery
from agent.jobs.downlinks import Downlinks
from agent.jobs.housekeeping import Housekeeping
from agent.jobs.radios import RadioJob
from agent.jobs.uplink import Uplink
from agent.model import DeviceId, Product, WifiRecord
from agent.ports import Clock
from agent.registry import Registry
from agent.service.entrance import Entrance
from agent.service.http import Front, read_address
from agent.service.service import Service
from agent.service.values import ServiceSettings
from agent.store import Store

STORE_FILE = "enrolld.db"


@dataclass(frozen=True, slots=True)
class Probes:
    """Where tests of power cuts stand: called around each commit and before each send."""

    on_commit: Callable[[str], None] | None = None
    on_service_commit: Callable[[str], None] | None = None
    on_send: Callable[[str], None] | None = None


@dataclass(slots=True)
class Current:
    """The settings in force; a reload replaces them."""

    settings: Settings
    logins_per_minute: int = 5

    def adopt(self, settings: Settings) -> None:
        """Take over what a running agent can change; the rest waits for the next start."""
        self.settings = replace(
            settings,
            gateway=self.settings.gateway,
            ble=self.settings.ble,
            wifi=self.settings.wifi,
            cloud=replace(settings.cloud, link=self.settings.cloud.link),
            service=replace(
                settings.service,
                listen=self.settings.service.listen,
                tls_certificate=self.settings.service.tls_certificate,
                tls_key=self.settings.service.tls_key,
            ),
            secrets=self.settings.secrets,
        )

    def products(self) -> Mapping[str, Product]:
        """The configured products."""
        return self.settings.products

    def ceiling(self) -> int | None:
        """The longest window, in seconds."""
        return self.settings.permits.ceiling

    def service(self) -> ServiceSettings:
        """What the embedded service runs on."""
        given = self.settings.service
        return ServiceSettings(
            found_interval=given.found_interval,
            token_life=given.token_life,
            bind_window=given.bind_window,
            logins_per_minute=self.logins_per_minute,
        )


class Assembly:
    """All parts of one agent, wired; `agent.daemon` runs them."""

    def __init__(
        self, current: Current, credentials: Credentials, state: Path, clock: Clock, probes: Probes
    ) -> None:
        self.current = current
        self.credentials = credentials
        self.clock = clock
        self._state = state
        self._probes = probes
        self.events = EventLog(clock)
        self.health = Health(clock.utc, self.events.emit)
        self.store = Store(state / STORE_FILE, on_commit=probes.on_commit)
        self.ledger = Ledger(self.store, self.events)
        self.registry = Registry(current.products(), self._verify)
        self.radios: list[RadioJob] = []
        self.service: Service | None = None
        self.front: Front | None = None
        self.uplink: Uplink | None = None
        self._add_commands()

    def _add_commands(self) -> None:
        current, clock, ledger = self.current, self.clock, self.ledger
        self.history = History(self.events)
        self.door = Door(
            ledger,
            self.history,
            clock,
            products=current.products,
            ceiling=current.ceiling,
            identify=lambda request: identify(self.registry, request),
        )
        self.roster = Roster(ledger, self.events, clock)
        self.bindings = Bindings(ledger, clock, current.settings.gateway)
        self.starts = Starts(
            self.door, self.registry, self.events, networks=lambda: current.settings.networks
        )
        self.housekeeping = Housekeeping(
            ledger,
            self.door,
            self.starts,
            self.bindings,
            ceiling=current.ceiling,
            clock=clock,
            health=self.health,
        )

    def add_jobs(self, *, strict: bool) -> None:
        """The jobs that need the ingress boundary, and the facade that shows them all."""
        self.ingress = Ingress(self.health, strict=strict)
        self.gateway = Gateway(
            settings=lambda: self.current.settings,
            ledger=self.ledger,
            door=self.door,
            roster=self.roster,
            starts=self.starts,
            history=self.history,
            registry=self.registry,
            health=self.health,
            log=self.events,
            clock=self.clock,
            surroundings=Surroundings(
                adapters=lambda: [radio.document() for radio in self.radios],
                link=self._link_document,
                on_report=lambda: self.discovery.on_report,
                create_account=self._create_account,
                version=metadata.version("enrolld"),
                started=self.clock.boot(),
            ),
        )
        self.discovery = Discovery(
            self.registry,
            self.events,
            self.health,
            self.ingress,
            self.clock,
            joined=self.gateway.is_joined,
        )

    def network(self) -> tuple[bytes, bytes | None]:
        """SSID and BSSID that ``found`` names: the default network, at its strongest access point heard."""
        default = self.current.settings.default_network
        if default is None:
            return b"", None
        if default.bssid is not None:
            return default.ssid, default.bssid
        heard = [
            entry
            for entry in self.registry.access_points()
            if entry.described is not None and entry.described.ssid == default.ssid
        ]
        strongest = max(heard, key=lambda entry: entry.rssi or -256, default=None)
        return default.ssid, None if strongest is None else strongest.address

    async def open_service(self) -> Service:
        """The embedded service on its file in the state directory; StoreError when that cannot be had."""
        self.service = await Service.open(
            self._state,
            products=self.current.products,
            product_secret=self._product_secret,
            device_secret=self._device_secret,
            clock=self.clock,
            settings=self.current.service(),
            on_commit=self._probes.on_service_commit,
        )
        return self.service

    def make_front(self, service: Service) -> Front | None:
        """The service's HTTP front, when it is to listen."""
        address = read_address(self.current.settings.service)
        if address is not None:
            self.front = Front(Entrance(service, self.clock, self.ingress), address)
        return self.front

    def make_uplink(self, service: Service) -> Uplink:
        """The cloud job over the embedded link."""
        gateway = self.current.settings.gateway
        obey = Downlinks(gateway, self.door, self.starts, self.roster, self.bindings, self.ingress).obey
        self.link = EmbeddedLink(service, gateway, self.clock, on_send=self._probes.on_send)
        self.uplink = Uplink(
            self.link,
            gateway,
            self.ledger,
            self.roster,
            self.bindings,
            self.credentials,
            obey,
            clock=self.clock,
            health=self.health,
            events=self.events,
        )
        return self.uplink

    async def close(self) -> None:
        """Close both files; what was accepted is in them already."""
        if self.service is not None:
            await self.service.close()
        await self.store.close()

    def _link_document(self) -> Document:
        session = self.uplink.session if self.uplink else None
        state = "connecting" if session is None else "online" if session.connected else "offline"
        since = None if session is None or not session.since else iso(session.since)
        url = None if self.front is None else self.front.url
        return {"kind": self.current.settings.cloud.link, "state": state, "since": since, "api": url}

    async def _create_account(self, name: str) -> Document:
        if self.service is None:
            raise StoreError("the provisioning service is not open yet")
        account = await self.service.create_account(name)
        return account.document(self.service.app, None if self.front is None else self.front.url)

    def _product_secret(self, product: Product) -> str | None:
        return self.credentials.get(product.secret or product_secret_name(product.product_key))

    def _device_secret(self, device: DeviceId) -> str | None:
        return self.credentials.get(device_secret_name(device.product_key, device.device_name))

    def _verify(self, record: WifiRecord) -> bool | None:
        """Whether the sign of an AA element fits; None without the secret (wifi-awss.md 2.2)."""
        secret: str | None = None
        if record.security == 4:
            secret = self._device_secret(DeviceId(record.product_key, record.device_name))
        elif record.security == 3:
            product = self.current.products().get(record.product_key)
            secret = None if product is None else self._product_secret(product)
        return None if secret is None else awss.verify(secret, record)
