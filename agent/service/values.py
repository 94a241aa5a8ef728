"""What the rules of the provisioning service are given and give back."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.model import DeviceId, Product
from agent.service.book import Book
from agent.service.book_accounts import AppKey


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose session an API call is: an account's identity, and its home."""

    identity: str
    home: str


@dataclass(frozen=True, slots=True)
class Account:
    """A new account; ``auth_code`` is told once, when it is made, and only its digest is kept."""

    name: str
    identity: str
    home: str
    auth_code: str = field(repr=False)

    @property
    def caller(self) -> Caller:
        """The caller of this account's sessions."""
        return Caller(self.identity, self.home)

    def document(self, app: AppKey, url: str | None) -> dict[str, object]:
        """All that an app needs to call the API, secrets included: for the account file and nothing else."""
        return {
            "v": 1,
            "url": url,
            "app_key": app.key,
            "app_secret": app.secret,
            "identity_id": self.identity,
            "home_id": self.home,
            "auth_code": self.auth_code,
        }


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of the HTTP API as its envelope says; ``app_key`` is whose signature it has."""

    path: str
    app_key: str
    api_ver: str
    iot_token: str | None = field(repr=False)
    params: dict[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Now:
    """One moment: boot seconds with the boot they count in for durations, UTC seconds for display."""

    boot: float
    boot_id: str
    utc: float


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What the operator or a test may set; durations in seconds.

    ``found_intervals`` overrides the report interval of single devices. The three limits are those of
    cloud-device-channel.md 6. ``token_code`` answers a void iotToken: 401, or for tests of clients 460,
    2401, 2459 or 29003 (HTTP 3).
    """

    found_interval: int = 60
    found_intervals: Mapping[DeviceId, int] = field(default_factory=dict)
    token_life: int = 120
    bind_window: int = 600
    topology_limit: int = 2000
    online_limit: int = 2000
    logins_per_minute: int = 5
    token_code: int = 401


@dataclass(frozen=True, slots=True)
class Push:
    """A request of the service to a device; ``carrier`` is the device whose connection brings it there."""

    carrier: DeviceId
    device: DeviceId
    name: str
    id: str
    params: object = field(repr=False)  # checkin carries a token


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rule answers: 200 or an error code, a message for people, data, and what to push."""

    code: int = 200
    message: str = "success"
    data: object = field(default=None, repr=False)
    pushes: tuple[Push, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the operator's products and secrets come from, and what new secrets are made of."""

    products: Callable[[], Mapping[str, Product]]
    product_secret: Callable[[Product], str | None]
    device_secret: Callable[[DeviceId], str | None]
    entropy: Callable[[int], bytes] = secrets.token_bytes

    def mint(self, octets: int) -> str:
        """A new secret or identity of that many octets, as lower-case hex."""
        return self.entropy(octets).hex()


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that one request may look at: the book in its transaction, products, secrets, the moment.

    ``live`` holds the devices that have an open connection of their own.
    """

    book: Book
    products: Mapping[str, Product]
    sources: Sources
    settings: ServiceSettings
    now: Now
    live: frozenset[DeviceId]
    next_id: Callable[[], str]

    def product_secret(self, product_key: str) -> str | None:
        """The productSecret of a configured product, if the operator gave it."""
        product = self.products.get(product_key)
        return self.sources.product_secret(product) if product else None

    def device_secret(self, device: DeviceId) -> str | None:
        """The deviceSecret of a device: the operator's before one that we minted."""
        return self.sources.device_secret(device) or self.book.devices.minted_secret(device)

    def product_name(self, product_key: str) -> str:
        """The name of a configured product, else nothing."""
        product = self.products.get(product_key)
        return product.name if product else ""

    def carrier(self, device: DeviceId) -> DeviceId | None:
        """Whose open connection reaches a device: its own, or that of the gateway it is behind."""
        if device in self.live:
            return device
        gateway = self.book.topology.gateway_of(device)
        return gateway if gateway in self.live else None

    def push(self, device: DeviceId, name: str, params: object) -> tuple[Push, ...]:
        """A push to a device; nothing when no connection reaches it now."""
        carrier = self.carrier(device)
        return () if carrier is None else (Push(carrier, device, name, self.next_id(), params),)

    def owner_of(self, device: DeviceId) -> str | None:
        """The identity that a device is bound to, or else that its gateway is bound to."""
        own = self.book.devices.bound_to(device)
        gateway = self.book.topology.gateway_of(device)
        return own or (self.book.devices.bound_to(gateway) if gateway else None)
