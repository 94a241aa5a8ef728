"""What a value of the configuration may be: each reader checks one, and says in words what it accepts."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from agent.credentials import kind_of
from agent.errors import ConfigError
from agent.model import NAME_TEXT, PRODUCT_KEY_TEXT, mac_bytes, mac_text

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

INTERFACE = re.compile(r"[^\s/:]{1,15}")  # what the kernel takes for a network interface (IFNAMSIZ 16)
PRODUCT_ID = re.compile(r"0[xX][0-9A-Fa-f]{1,8}")
LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")
URL = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?/?")
TYPE_WORDS: Mapping[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number with a fraction",
    str: "a string",
    list: "an array",
    dict: "a table",
    datetime.datetime: "a date and time",
    datetime.date: "a date",
    datetime.time: "a time",
}


class Wrong(ConfigError):
    """A value that its option does not accept; ``index`` names the element of an array, if it is one."""

    def __init__(self, sentence: str, index: int | None = None) -> None:
        super().__init__(sentence)
        self.index = index


@dataclass(frozen=True, slots=True)
class Reader(Generic[T_co]):
    """``words`` say what is accepted; ``read`` gives the value that the agent works with, or raises Wrong."""

    words: str
    read: Callable[[object], T_co]


def describe(value: object) -> str:
    """The type of a TOML value in words; an array of tables is named as such."""
    if isinstance(value, list) and value and all(isinstance(element, dict) for element in value):
        return "an array of tables"
    return TYPE_WORDS[type(value)]


def _narrow(value: object, kind: type[T], words: str) -> T:
    # Not isinstance: true is an int to Python and not to TOML.
    if type(value) is not kind:
        raise Wrong(f"is {describe(value)}; it must be {words}")
    return value


def _make_text(words: str, convert: Callable[[str], T]) -> Reader[T]:
    """A reader of strings; ``convert`` raises ValueError, with or without a sentence, for a wrong one."""

    def read(value: object) -> T:
        text = _narrow(value, str, words)
        try:
            return convert(text)
        except ValueError as error:
            raise Wrong(f"{error}; it must be {words}" if str(error) else f"must be {words}") from None

    return Reader(words, read)


def _demand(holds: object, sentence: str = "") -> None:
    if not holds:
        raise ValueError(sentence)


def choose(*allowed: str) -> Reader[str]:
    """One of some words."""
    quoted = [f'"{word}"' for word in allowed]

    def convert(text: str) -> str:
        _demand(text in allowed, "is none of the possible words")
        return text

    return _make_text(" or ".join([", ".join(quoted[:-1]), quoted[-1]]), convert)


def whole(low: int, high: int) -> Reader[int]:
    """An integer of a range, both ends included."""
    words = f"an integer from {low} to {high}"

    def read(value: object) -> int:
        number = _narrow(value, int, words)
        if not low <= number <= high:
            raise Wrong(f"is out of range; it must be {words}")
        return number

    return Reader(words, read)


def choose_number(*allowed: int) -> Reader[int]:
    """One of some integers."""
    words = f"one of {', '.join(map(str, allowed))}"

    def read(value: object) -> int:
        number = _narrow(value, int, words)
        if number not in allowed:
            raise Wrong(f"is {number}; it must be {words}")
        return number

    return Reader(words, read)


def flag() -> Reader[bool]:
    """True or false."""
    words = "true or false"
    return Reader(words, lambda value: _narrow(value, bool, words))


def several(element: Reader[T]) -> Reader[tuple[T, ...]]:
    """An array of such values, each at most once; Wrong tells which element."""
    words = f"an array, each element {element.words}"

    def read(value: object) -> tuple[T, ...]:
        found: list[T] = []
        for index, raw in enumerate(_narrow(value, list, words)):
            try:
                item = element.read(raw)
            except Wrong as error:
                raise Wrong(str(error), index) from None
            if item in found:
                raise Wrong("stands in the array twice; remove one", index)
            found.append(item)
        return tuple(found)

    return Reader(words, read)


def line_of_text(low: int, high: int) -> Reader[str]:
    """Printable text of one line."""

    def convert(text: str) -> str:
        _demand(low <= len(text) <= high, f"has {len(text)} characters")
        _demand(text.isprintable(), "holds a character that cannot be printed")
        return text

    return _make_text(f"a string of {low} to {high} printable characters", convert)


def product_key() -> Reader[str]:
    """A productKey (cloud-device-channel.md, section 6)."""

    def convert(text: str) -> str:
        _demand(PRODUCT_KEY_TEXT.fullmatch(text))
        return text

    return _make_text("a string of 1 to 20 of A-Z a-z 0-9 _ @ . : -", convert)


def device_name() -> Reader[str]:
    """A deviceName (cloud-device-channel.md, section 6)."""

    def convert(text: str) -> str:
        _demand(4 <= len(text) <= 32, f"has {len(text)} characters")
        _demand(NAME_TEXT.fullmatch(text), "holds a character that the cloud refuses")
        return text

    return _make_text("a string of 4 to 32 of A-Z a-z 0-9 _ @ . : -", convert)


def product_id() -> Reader[int]:
    """The 32-bit product id of BLE advertisements (ble-breeze.md, section 2)."""

    def convert(text: str) -> int:
        _demand(PRODUCT_ID.fullmatch(text))
        return int(text, 16)

    return _make_text('a string of "0x" and 1 to 8 hex digits', convert)


def ssid() -> Reader[bytes]:
    """A network name as its UTF-8 octets."""

    def convert(text: str) -> bytes:
        octets = text.encode()
        _demand(1 <= len(octets) <= 32, f"has {len(octets)} octets")
        return octets

    return _make_text("a string of 1 to 32 octets in UTF-8", convert)


def ssid_hex() -> Reader[bytes]:
    """A network name that is no text, as hex digits."""

    def convert(text: str) -> bytes:
        _demand(re.fullmatch(r"(?:[0-9A-Fa-f]{2}){1,32}", text))
        return bytes.fromhex(text)

    return _make_text("a string of 2 to 64 hex digits, two for each octet", convert)


def bssid() -> Reader[bytes | None]:
    """The MAC address of an access point, None for ``auto``."""
    return _make_text('"auto" or a MAC address', lambda text: None if text == "auto" else mac_bytes(text))


def credential(kind: str) -> Reader[str]:
    """The name of a credential of one kind.

    No message repeats what stands there: it may be the secret itself.
    """
    words = f'"{kind}"' if kind == "auth_code" else f'the name of a credential, "{kind}.<name>"'

    def convert(text: str) -> str:
        _demand(kind_of(text) == kind, "does not name a credential; the secret itself belongs into its file")
        return text

    return _make_text(words, convert)


def directory() -> Reader[Path]:
    """A directory, which need not exist yet."""

    def convert(text: str) -> Path:
        _demand(text and text.isprintable())
        return Path(text)

    return _make_text("the path of a directory", convert)


def file() -> Reader[Path]:
    """A file, which need not exist yet."""

    def convert(text: str) -> Path:
        _demand(text and text.isprintable())
        return Path(text)

    return _make_text("the path of a file", convert)


def listen_address() -> Reader[str]:
    """``host:port``, or empty for none."""

    def convert(text: str) -> str:
        _demand(not text or split_address(text))
        return text

    return _make_text('"<address>:<port>", "[<IPv6 address>]:<port>", or "" for no HTTP', convert)


def split_address(text: str) -> tuple[str, int] | None:
    """Host (an IPv6 one without its brackets) and port of ``host:port``; None when it is not of that form."""
    match = LISTEN.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        return None
    return match[1] or match[2], int(match[3])


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and the addresses that only this machine reaches."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url() -> Reader[str]:
    """The address of an HTTP API without a path; a trailing slash is dropped."""

    def convert(text: str) -> str:
        match = URL.fullmatch(text)
        _demand(match and int(match[1] or 0) < 65536)
        return text.rstrip("/")

    return _make_text('"https://<host>" or "http://<host>:<port>" without a path', convert)


def ble_radio() -> Reader[str]:
    """``bluez``, ``bluez:<address>``, ``simulated`` or ``replay:<file>``; an address as ``AA:BB:..``."""
    return _make_text('"bluez", "bluez:<MAC>", "simulated" or "replay:<file>"', _read_ble_radio)


def _read_ble_radio(text: str) -> str:
    kind, colon, detail = text.partition(":")
    if kind == "bluez" and colon:
        return f"bluez:{mac_text(mac_bytes(detail))}"
    _demand(text in {"bluez", "simulated"} or _is_replay(kind, detail))
    return text


def wifi_radio() -> Reader[str]:
    """``nl80211:<interface>``, ``monitor:<interface>``, ``simulated`` or ``replay:<file>``."""
    return _make_text(
        '"nl80211:<interface>", "monitor:<interface>", "simulated" or "replay:<file>"', _read_wifi_radio
    )


def _read_wifi_radio(text: str) -> str:
    kind, _, detail = text.partition(":")
    if kind in {"nl80211", "monitor"}:
        _demand(
            INTERFACE.fullmatch(detail) and detail.isprintable() and detail not in {".", ".."},
            "lacks the name of an interface",
        )
    else:
        _demand(text == "simulated" or _is_replay(kind, detail))
    return text


def _is_replay(kind: str, detail: str) -> bool:
    return kind == "replay" and bool(detail) and detail.isprintable()
