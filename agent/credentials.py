"""The operator's secrets: small files of one directory, one secret each (DESIGN 2).

They are read once, at start. A value leaves only by `Credentials.get`; what is wrong with a file is told
by its name, never by its content.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.model import DeviceId

SYSTEMD_PREFIX = "secrets_"  # what LoadCredential=secrets:DIRECTORY puts before each file's name
LONGEST_FILE_NAME = 255  # octets, the prefix included
LONGEST = 256  # octets; the longest secret of the documents has 64

PRINTABLE = re.compile(r"[\x20-\x7e]+")
HEX_KEY = re.compile(r"[0-9A-Fa-f]{64}")
NETWORK_NAME = re.compile(r"[A-Za-z0-9_@.-]{1,64}")
FIXED_NAMES = ("gateway_secret", "app_secret", "auth_code")
NOT_PLAIN = re.compile(rb"[^A-Za-z0-9_@.-]")
NOT_PLAIN_PRODUCT = re.compile(rb"[^A-Za-z0-9_@-]")  # the first dot ends a product key
ESCAPED = re.compile(rb"%([0-9A-F]{2})")


class Credentials:
    """Secrets by name, and what is wrong with the files that they came from."""

    def __init__(self, values: Mapping[str, str], problems: Sequence[str] = ()) -> None:
        self._values = dict(values)
        self._problems = tuple(problems)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self.names())})"

    def get(self, name: str) -> str | None:
        """The secret of that name, or None."""
        return self._values.get(name)

    def names(self) -> list[str]:
        """The names of all secrets, sorted."""
        return sorted(self._values)

    def differences(self, other: Credentials) -> list[str]:
        """The names of the secrets that came, went or changed, sorted."""
        return sorted(name for name in {*self._values, *other.names()} if self.get(name) != other.get(name))

    def problems(self) -> list[str]:
        """One sentence for each file or directory that needs a hand; none holds any part of a secret."""
        return list(self._problems)

    def device_names(self, product_key: str) -> list[str]:
        """The devices of that product whose device secret is here, sorted."""
        devices = (read_device_secret_name(name) for name in self.names())
        return [d.device_name for d in devices if d is not None and d.product_key == product_key]


def product_secret_name(product_key: str) -> str:
    """``product_secret.<pk>``."""
    return f"product_secret.{_escape(product_key, NOT_PLAIN_PRODUCT)}"


def device_secret_name(product_key: str, device_name: str) -> str:
    """``device_secret.<pk>.<dn>``; octets that do not fit a file name of systemd are ``%XX``."""
    return f"device_secret.{_escape(product_key, NOT_PLAIN_PRODUCT)}.{_escape(device_name, NOT_PLAIN)}"


def read_device_secret_name(name: str) -> DeviceId | None:
    """The device whose secret has that name; None when it is no such name, or not as we would write it."""
    kind, _, rest = name.partition(".")
    product_key, _, device_name = rest.partition(".")
    if kind != "device_secret" or not product_key or not device_name:
        return None
    try:
        device = DeviceId(_unescape(product_key), _unescape(device_name))
    except UnicodeError:
        return None
    return device if device_secret_name(device.product_key, device.device_name) == name else None


def kind_of(name: str) -> str | None:
    """``product_secret``, ``device_secret``, ``passphrase`` or the name itself; None: it names no secret."""
    if name in FIXED_NAMES:
        return name
    kind, _, rest = name.partition(".")
    if kind == "passphrase" and NETWORK_NAME.fullmatch(rest):
        return kind
    if kind == "product_secret" and _is_product(rest):
        return kind
    return "device_secret" if read_device_secret_name(name) else None


def _is_product(text: str) -> bool:
    try:
        return bool(text) and _escape(_unescape(text), NOT_PLAIN_PRODUCT) == text
    except UnicodeError:
        return False


def _escape(text: str, unfit: re.Pattern[bytes]) -> str:
    return unfit.sub(lambda match: b"%%%02X" % match[0][0], text.encode()).decode("ascii")


def _unescape(text: str) -> str:
    return ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode()).decode()


def load(directory: Path | None, *, systemd: Path | None) -> Credentials:
    """All secrets of systemd's credentials directory, and of ``[secrets] directory`` those it lacks.

    Nothing is raised: a missing directory, a wrong name, a file too open or with content that cannot be
    a secret is a sentence in `Credentials.problems`, and the other files count.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    if systemd is not None:
        values.update(_read_directory(systemd, SYSTEMD_PREFIX, problems))
    if directory is not None:
        problems += _find_open_doors(directory)
        for name, value in _read_directory(directory, "", problems).items():
            if values.setdefault(name, value) != value:
                problems.append(f"{directory / name}: differs from systemd's credential, which is used")
    return Credentials(values, problems)


def _read_directory(directory: Path, prefix: str, problems: list[str]) -> dict[str, str]:
    values = {}
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208  names, and an error for what cannot be listed
    except OSError as error:
        problems.append(f"{directory}: the secrets cannot be read: {error.strerror}")
        return {}
    for file_name in names:
        if not file_name.startswith(prefix) or file_name.startswith("."):
            continue
        try:
            name = file_name.removeprefix(prefix)
            values[name] = _read_secret(directory / file_name, name)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            problems.append(f"{directory}/{_shown(file_name)}: {reason}")
    return values


def _read_secret(file: Path, name: str) -> str:
    kind = kind_of(name)
    if kind is None:
        raise ValueError(_misnamed(name))
    if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait for its writer
        raise ValueError("is not a regular file; a secret is a file")
    with file.open("rb") as stream:
        data = stream.read(LONGEST + 2)
    content = data.removesuffix(b"\n").decode("latin-1")
    trouble = _find_fault(kind, content)
    if trouble:
        raise ValueError(trouble)
    return content


def is_loadable(name: str) -> bool:
    """Whether LoadCredential= takes a file of that name; one that it refuses keeps the unit from starting."""
    plain = name.isascii() and name.isprintable() and ":" not in name
    return plain and len(SYSTEMD_PREFIX + name) <= LONGEST_FILE_NAME


def _misnamed(name: str) -> str:
    if ":" in name:
        return "systemd refuses a ':' in a file name and would never start the service; write %3A"
    if not is_loadable(name):
        return "systemd refuses such a file name and would never start the service; write odd octets as %XX"
    return (
        "is not the name of a secret; the names are gateway_secret, app_secret, auth_code, "
        "product_secret.<pk>, device_secret.<pk>.<dn> (other octets than A-Za-z0-9_@.- as %XX) "
        "and passphrase.<network>"
    )


def _find_fault(kind: str, content: str) -> str | None:
    if not content:
        return "is empty; write the secret into it or remove it"
    if len(content) > LONGEST:
        return f"is longer than {LONGEST} octets; a secret is one line"
    if not PRINTABLE.fullmatch(content):
        return "holds something else than printable ASCII (more than one line, Windows line ends, a tab)"
    if kind == "passphrase" and not (8 <= len(content) <= 63 or HEX_KEY.fullmatch(content)):
        return "is no passphrase: one has 8 to 63 characters, or is a key of 64 hex digits"
    return None


def _find_open_doors(directory: Path) -> Iterator[str]:
    """The directory and its files, where others than the owner may read or write."""
    for place in (directory, *_list_files(directory)):
        try:
            mode = place.stat().st_mode
        except OSError:
            continue  # reading it names the trouble
        if mode & 0o066:
            wanted = 0o700 if place == directory else 0o600
            shown = directory if place == directory else f"{directory}/{_shown(place.name)}"
            yield f"{shown}: is open to others (mode {stat.S_IMODE(mode):04o}); run chmod {wanted:04o} on it"


def _list_files(directory: Path) -> list[Path]:
    try:
        return sorted(e for e in directory.iterdir() if e.is_file() and not e.name.startswith("."))
    except OSError:
        return []


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
