"""Every option there is: where it stands, what it accepts, what it means.

These tables are the one source of the checks, of ``config/enrolld.toml`` and of ``docs/configuration.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, Union

from agent.config import values
from agent.config.values import Reader

T_co = TypeVar("T_co", covariant=True)


class Required(Enum):
    """In place of a default: the option must be written."""

    REQUIRED = "required"


REQUIRED: Literal[Required.REQUIRED] = Required.REQUIRED


@dataclass(frozen=True, slots=True)
class Option(Generic[T_co]):
    """One key. In ``path`` a ``*`` is any name; ``default`` None means absent.

    ``example`` is TOML for the right side (empty: the default); ``active``: not commented in the example.
    """

    path: tuple[str, ...]
    reader: Reader[T_co]
    default: T_co | Literal[Required.REQUIRED]
    doc: str
    example: str = ""
    active: bool = False

    @property
    def shown(self) -> str:
        """TOML for the right side of an example."""
        return self.example or toml_text(self.default)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of options; ``*`` as in `Option`, with a name for the example."""

    path: tuple[str, ...]
    doc: str
    example_name: str = ""

    @property
    def header(self) -> str:
        """Its header in an example."""
        return "[" + ".".join(part.replace("*", self.example_name) for part in self.path) + "]"


Tree = Mapping[str, Union[Option[object], "Tree"]]


def toml_text(value: object) -> str:
    """A default as TOML; nothing for an option without one."""
    if value is None or value is REQUIRED:
        return ""
    if isinstance(value, tuple):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def make_tree(options: Sequence[Option[object]]) -> Tree:
    """The options by table and key."""
    tree: dict[str, Any] = {}
    for option in options:
        node = tree
        for key in option.path[:-1]:
            node = node.setdefault(key, {})
        node[option.path[-1]] = option
    return tree


GATEWAY_PRODUCT_KEY = Option(
    ("gateway", "product_key"),
    values.product_key(),
    REQUIRED,
    "The gateway's own productKey in the cloud.",
    '"a1Bdn3wGate"',
    active=True,
)
GATEWAY_DEVICE_NAME = Option(
    ("gateway", "device_name"),
    values.device_name(),
    REQUIRED,
    "The gateway's own deviceName in the cloud.",
    '"hall-gateway"',
    active=True,
)
BLE_RADIOS = Option(
    ("ble", "radios"),
    values.several(values.ble_radio()),
    (),
    'The Bluetooth radios to listen with; "bluez" is the default adapter, [] is off.',
    '["bluez"]',
    active=True,
)
WIFI_RADIOS = Option(
    ("wifi", "radios"),
    values.several(values.wifi_radio()),
    (),
    "The Wi-Fi interfaces to listen with: nl80211 reads scan results, monitor captures frames, [] is off.",
    '["nl80211:wlan0"]',
    active=True,
)
NETWORK_SSID: Option[bytes | None] = Option(
    ("networks", "*", "ssid"),
    values.ssid(),
    None,
    "The name of the network as text; either this or ssid_hex.",
    '"Our home"',
)
NETWORK_SSID_HEX: Option[bytes | None] = Option(
    ("networks", "*", "ssid_hex"),
    values.ssid_hex(),
    None,
    "The name of the network as hex digits, for one that is not UTF-8.",
    '"4f757220686f6d65"',
)
NETWORK_BSSID: Option[bytes | None] = Option(
    ("networks", "*", "bssid"),
    values.bssid(),
    None,
    'The access point that devices are sent to; "auto", the default, is the strongest one heard.',
    '"auto"',
)
NETWORK_PASSPHRASE: Option[str | None] = Option(
    ("networks", "*", "passphrase"),
    values.credential("passphrase"),
    None,
    "The name of the credential that holds the passphrase (never the passphrase itself); "
    "absent: an open network.",
    '"passphrase.home"',
)
NETWORK_DEFAULT = Option(
    ("networks", "*", "default"),
    values.flag(),
    default=False,
    doc="Devices get this network when nobody names another; at most one network may say so.",
)
CLOUD_LINK = Option(
    ("cloud", "link"),
    values.choose("embedded", "mqtt"),
    REQUIRED,
    'How the gateway reaches its cloud: "embedded" is the provisioning service in this process, '
    '"mqtt" the vendor\'s cloud. There is no default.',
    '"embedded"',
    active=True,
)
API_URL = Option(
    ("cloud", "api", "url"), values.url(), REQUIRED, "Where the API is.", '"http://127.0.0.1:8040"'
)
API_APP_KEY = Option(
    ("cloud", "api", "app_key"),
    values.line_of_text(1, 64),
    REQUIRED,
    "The key of the installer's app; its secret is the credential app_secret.",
    '"12345678"',
)
API_HOME_ID: Option[str | None] = Option(
    ("cloud", "api", "home_id"),
    values.line_of_text(1, 64),
    None,
    "The home that devices are bound to; absent: the account's own.",
    '"home-1"',
)
API_AUTH_CODE = Option(
    ("cloud", "api", "auth_code"),
    values.credential("auth_code"),
    "auth_code",
    "The name of the credential that holds the account's authCode.",
)
LISTEN = Option(
    ("service", "listen"),
    values.listen_address(),
    "127.0.0.1:8040",
    'Where the embedded service answers HTTP; "" keeps it in this process, port 0 takes a free one. '
    "An address beyond loopback needs the two TLS options.",
)
TLS_CERTIFICATE: Option[Path | None] = Option(
    ("service", "tls_certificate"),
    values.file(),
    None,
    "The PEM file with the certificate (and its chain) that the embedded service shows; with it and "
    "tls_key it speaks HTTPS. A relative path counts from this file.",
    '"service.crt"',
)
TLS_KEY: Option[Path | None] = Option(
    ("service", "tls_key"),
    values.file(),
    None,
    "The PEM file with the private key of that certificate; nobody but the daemon should be able to read it.",
    '"service.key"',
)
FOUND_INTERVAL = Option(
    ("service", "found_interval"),
    values.whole(5, 3600),
    60,
    "Seconds between two reports of the same enrollee, as the embedded service asks for them.",
)
TOKEN_LIFE = Option(
    ("service", "token_life"),
    values.whole(30, 3600),
    120,
    "Seconds that a reported token stays good for binding.",
)
BIND_WINDOW = Option(
    ("service", "bind_window"),
    values.whole(1, 86400),
    600,
    "Seconds after a device's connect in which it can be bound without a token.",
)
CEILING: Option[int | None] = Option(
    ("permits", "ceiling"),
    values.whole(1, 65534),
    None,
    "The longest permit window in seconds; longer ones, and those without an end, are cut to it. "
    "Absent: no limit.",
    "3600",
)
SECRETS_DIRECTORY: Option[Path | None] = Option(
    ("secrets", "directory"),
    values.directory(),
    None,
    "Where secrets are files, one each, for a start without systemd's LoadCredential=; "
    "a relative path counts from this file.",
    '"/etc/enrolld/secrets"',
)
LOG_LEVEL = Option(
    ("log", "level"), values.choose("debug", "info", "warning", "error"), "info", "The least that is logged."
)

TABLES = (
    Table(("gateway",), "Who this gateway is."),
    Table(("ble",), "Bluetooth."),
    Table(("wifi",), "Wi-Fi."),
    Table(
        ("networks", "*"),
        "A network that devices may be given; one table for each, the name is ours to choose.",
        "home",
    ),
    Table(("cloud",), "The cloud."),
    Table(
        ("cloud", "api"), "An installer's session for the HTTP API: keys from the cloud, checks and binds."
    ),
    Table(("service",), "The embedded provisioning service."),
    Table(("permits",), "Permit windows."),
    Table(("secrets",), "The operator's secrets."),
    Table(("log",), "The log."),
)
OPTIONAL_TABLES = {("cloud", "api")}  # what is required in these is so only when the table stands there
OPTIONS: tuple[Option[object], ...] = (
    GATEWAY_PRODUCT_KEY,
    GATEWAY_DEVICE_NAME,
    BLE_RADIOS,
    WIFI_RADIOS,
    NETWORK_SSID,
    NETWORK_SSID_HEX,
    NETWORK_BSSID,
    NETWORK_PASSPHRASE,
    NETWORK_DEFAULT,
    CLOUD_LINK,
    API_URL,
    API_APP_KEY,
    API_HOME_ID,
    API_AUTH_CODE,
    LISTEN,
    TLS_CERTIFICATE,
    TLS_KEY,
    FOUND_INTERVAL,
    TOKEN_LIFE,
    BIND_WINDOW,
    CEILING,
    SECRETS_DIRECTORY,
    LOG_LEVEL,
)
TREE = make_tree(OPTIONS)
OPTIONS_OUTSIDE_NETWORKS = tuple(option for option in OPTIONS if "*" not in option.path)
