"""The one door: may this device come in, and why (DESIGN 5, Grants and Windows).

Every path asks `decide` before any key, credential or topology message leaves the gateway: the radios, other
stacks on ``join.sock``, the cloud's checkin and the command line. It is a function of values, so the
same question always has the same answer, and the answer carries the facts behind it for ``why``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.errors import InputRefused
from agent.model import PRODUCT_KEY_TEXT, DeviceId, Kind, Product
from agent.permits import ANY, Permits, Window, open_window
from agent.topology import MEMBERS, State, SubDevice, Topology

DEVICE_NAME_TEXT = re.compile(r"[A-Za-z0-9_@.:-]{4,32}")  # cloud-device-channel.md 6
MEDIUM_TEXT = re.compile(r"[a-z][a-z0-9_-]{0,15}")
ADDRESS_LENGTH = 64
PACE = 30.0  # DESIGN 5: one attempt per device per 30 s
GRANT_LIFE = 60.0  # what a checkin's timeout <= 0 means (cloud-device-channel.md 4.2)


class Reason(StrEnum):
    """Why a device was admitted (the first two) or refused."""

    WINDOW_OPEN = "window_open"
    START_COMMAND = "start_command"
    UNKNOWN_PRODUCT = "unknown_product"
    GATEWAY_PRODUCT = "gateway_product"
    WRONG_KIND = "wrong_kind"
    WRONG_PRODUCT = "wrong_product"
    NAME_INVALID = "name_invalid"
    SECURITY_DOWNGRADE = "security_downgrade"
    DEVICE_BOUND = "device_bound"
    ALREADY_MEMBER = "already_member"
    JOIN_RUNNING = "join_running"
    DEVICE_DISABLED = "device_disabled"
    BEING_REMOVED = "being_removed"
    TOPOLOGY_FULL = "topology_full"
    PRODUCT_DENIED = "product_denied"
    WINDOW_EXPIRED = "window_expired"
    WINDOW_CLOSED = "window_closed"
    NO_START_COMMAND = "no_start_command"
    TOO_SOON = "too_soon"
    STORE_UNAVAILABLE = "store_unavailable"


SENTENCES: Mapping[Reason, str] = {
    Reason.WINDOW_OPEN: "{product} may join: a window opened by {by} ends {ends}.",
    Reason.START_COMMAND: "{device} was named by a start command of {by}, which is good for {ends}.",
    Reason.UNKNOWN_PRODUCT: "{product} has no product file here, so none of its devices may join.",
    Reason.GATEWAY_PRODUCT: "{product} is a gateway product, and a gateway never joins another one.",
    Reason.WRONG_KIND: "{product} is a {kind} product and cannot come in as a {asked} one.",
    Reason.WRONG_PRODUCT: "{device} is heard with the product id {asked}, which {product} does not have.",
    Reason.NAME_INVALID: "{device} has a name that is not 4 to 32 letters, digits or - _ @ . :",
    Reason.SECURITY_DOWNGRADE: "{device} offers no security, and {product} requires it.",
    Reason.DEVICE_BOUND: "{device} says that a user has bound it; only --overwrite takes it over.",
    Reason.ALREADY_MEMBER: "{device} is a sub-device already; forget it first, or use --overwrite.",
    Reason.JOIN_RUNNING: "{device} is joining already.",
    Reason.DEVICE_DISABLED: "{device} was disabled by the cloud; it must be enabled there.",
    Reason.BEING_REMOVED: "{device} is being removed; it may join again once the cloud has confirmed that.",
    Reason.TOPOLOGY_FULL: "The gateway has {members} sub-devices, the most that the cloud allows.",
    Reason.PRODUCT_DENIED: "{product} was closed by name, until a command opens it or any product.",
    Reason.WINDOW_EXPIRED: "The window for {product} ended {ends} ago.",
    Reason.WINDOW_CLOSED: "No window is open for {product}.",
    Reason.NO_START_COMMAND: "{device} connects to the cloud itself and needs a start command that names it.",
    Reason.TOO_SOON: "{device} was tried less than 30 s ago; the next try may begin in {ends}.",
    Reason.STORE_UNAVAILABLE: "The state cannot be written now, so nothing new is accepted.",
}


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """One device at the door.

    ``medium`` and ``address`` say by which way it came. ``kind`` is as what it wants to come in. The rest
    is what a radio of ours knows: ``enrollee`` is the enrollee id (then the device name may still be
    empty), ``product_id`` and ``mac`` (6 bytes) are those of the BLE record, ``bound`` and ``secured``
    what the advert says (None: nothing), ``overwrite`` the operator's word.
    """

    medium: str
    address: str
    device: DeviceId
    kind: Kind = Kind.SUB_DEVICE
    enrollee: str | None = None
    product_id: int | None = None
    mac: bytes | None = None
    bound: bool | None = None
    secured: bool | None = None
    overwrite: bool = False

    @property
    def subject(self) -> str:
        """What to call the device: ``pk/dn``, the enrollee id while its name is unknown, else its address."""
        return str(self.device) if self.device.device_name else self.enrollee or self.address


@dataclass(frozen=True, slots=True)
class Grant:
    """A start command for one direct device: ``name`` is its ``pk/dn`` or enrollee id, ``ends`` boot s."""

    name: str
    ends: float
    by: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that counted for a decision."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of the door.

    When admitted, ``window`` is the one that let it in (None for a start command) and ``ends_in`` the
    seconds that this right still lasts (None: no end). ``facts`` are all that was looked at.
    """

    admitted: bool
    reason: Reason
    sentence: str
    facts: tuple[Fact, ...]
    window: Window | None = None
    ends_in: float | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    request: JoinRequest
    product: Product
    permits: Permits
    topology: Topology
    grants: tuple[Grant, ...]
    now: float
    tried: float | None
    writable: bool


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one check found: ``reason`` None is no objection."""

    sentence: str
    reason: Reason | None = None
    window: Window | None = None
    ends_in: float | None = None


def read_join(body: object) -> JoinRequest:
    """The request in the body of ``POST /v1/joins``; InputRefused 400 names the field that is wrong.

    Members that are not known are ignored.
    """
    if not isinstance(body, dict):
        raise InputRefused("the body of a join is a JSON object", code=400)
    if type(body.get("v")) is not int or body["v"] != 1:
        raise InputRefused("the field v of a join is 1, the version of this interface", code=400)
    medium = _read_text(body, "medium", MEDIUM_TEXT.fullmatch, "1 to 16 lower-case letters, digits, - or _")
    address = _read_text(body, "address", _is_address, "1 to 64 printable characters")
    product_key = _read_text(
        body, "product_key", PRODUCT_KEY_TEXT.fullmatch, "1 to 20 letters, digits or - _ @ . :"
    )
    name = _read_text(body, "device_name", DEVICE_NAME_TEXT.fullmatch, "4 to 32 letters, digits or - _ @ . :")
    return JoinRequest(medium, address, DeviceId(product_key, name))


def open_grant(name: str, timeout: object, *, now: float, by: str) -> Grant:
    """The grant of a start command for ``pk/dn`` or an enrollee id; a timeout that is absent or <= 0 is 60 s.

    A timeout that is no whole number of seconds is InputRefused 460.
    """
    if timeout is None:
        return Grant(name, now + GRANT_LIFE, by)
    if isinstance(timeout, bool) or not isinstance(timeout, int):
        raise InputRefused("the timeout of a start command is a whole number of seconds")
    return Grant(name, now + (timeout if timeout > 0 else GRANT_LIFE), by)


def decide(
    request: JoinRequest,
    *,
    permits: Permits,
    products: Mapping[str, Product],
    topology: Topology,
    grants: Iterable[Grant],
    now: float,
    tried: float | None = None,
    writable: bool = True,
) -> Decision:
    """Whether that device may come in at ``now`` (boot s).

    ``tried`` is when the device was last tried, where pace matters; ``writable`` False says that the store
    cannot be written. What an open window would not cure is said first. A member may join once more inside
    a window from the address it has; a radio's member, or another address, needs ``overwrite``.
    """
    product = products.get(request.device.product_key)
    if product is None:
        sentence = SENTENCES[Reason.UNKNOWN_PRODUCT].format(product=request.device.product_key)
        return _refused(Reason.UNKNOWN_PRODUCT, sentence, (Fact("product", sentence),))
    case = _Case(request, product, permits, topology, tuple(grants), now, tried, writable)
    findings = {name: check(case) for name, check in CHECKS.items()}
    facts = tuple(Fact(name, finding.sentence) for name, finding in findings.items())
    for finding in findings.values():
        if finding.reason is not None:
            return _refused(finding.reason, finding.sentence, facts)
    right = findings["right"]
    reason = Reason.START_COMMAND if product.kind is Kind.DIRECT else Reason.WINDOW_OPEN
    return Decision(
        admitted=True,
        reason=reason,
        sentence=right.sentence,
        facts=facts,
        window=right.window,
        ends_in=right.ends_in,
    )


def _refused(reason: Reason, sentence: str, facts: tuple[Fact, ...]) -> Decision:
    return Decision(admitted=False, reason=reason, sentence=sentence, facts=facts)


def _read_text(body: Mapping[object, object], name: str, is_valid: Callable[[str], object], rule: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not is_valid(value):
        raise InputRefused(f"the field {name} of a join is {rule}", code=400)
    return value


def _is_address(text: str) -> bool:
    return 0 < len(text) <= ADDRESS_LENGTH and text.isprintable()


def _say(case: _Case, reason: Reason, *, by: str = "", ends: str = "", asked: str = "") -> str:
    request = case.request
    return SENTENCES[reason].format(
        product=case.product.name or case.product.product_key,
        device=request.subject,
        kind=case.product.kind,
        asked=asked or request.kind,
        members=MEMBERS,
        by=by,
        ends=ends,
    )


def _object(case: _Case, reason: Reason) -> _Finding:
    return _Finding(_say(case, reason), reason)


def _check_product(case: _Case) -> _Finding:
    if case.product.node_type == 1:
        return _object(case, Reason.GATEWAY_PRODUCT)
    return _Finding(f"{case.product.product_key} is configured as {case.product.name or 'a product'}.")


def _check_kind(case: _Case) -> _Finding:
    if case.product.kind is not case.request.kind:
        return _object(case, Reason.WRONG_KIND)
    return _Finding(f"The product file makes it a {case.product.kind} product.")


def _check_record(case: _Case) -> _Finding:
    number, known = case.request.product_id, case.product.product_ids
    if number is None:
        return _Finding("No radio here hears it under that address.")
    if known and number not in known:
        return _Finding(_say(case, Reason.WRONG_PRODUCT, asked=f"0x{number:08x}"), Reason.WRONG_PRODUCT)
    return _Finding(f"It is heard with the product id 0x{number:08x}.")


def _check_name(case: _Case) -> _Finding:
    name = case.request.device.device_name
    if not name and case.request.enrollee is not None:
        return _Finding("Its name is not on the air and will be asked for.")
    if not DEVICE_NAME_TEXT.fullmatch(name):
        return _object(case, Reason.NAME_INVALID)
    return _Finding(f"Its name {name} is valid.")


def _check_security(case: _Case) -> _Finding:
    if case.product.security != "none" and case.request.secured is False:
        return _object(case, Reason.SECURITY_DOWNGRADE)
    said = {True: "offers security", False: "offers none", None: "does not say"}[case.request.secured]
    return _Finding(f"Security is {case.product.security} for its product; the device {said}.")


def _check_bound(case: _Case) -> _Finding:
    known = _known(case)
    returns = known is not None and _may_return(case.request, known)  # a member is bound, of course
    if case.request.bound and not case.request.overwrite and not returns:
        return _object(case, Reason.DEVICE_BOUND)
    if case.request.bound and returns:
        return _Finding("It says that it is bound, as a member of this gateway may be.")
    if case.request.bound:
        return _Finding("It says that it is bound, and the operator said to overwrite.")
    return _Finding("It does not say that it is bound.")


def _check_member(case: _Case) -> _Finding:
    known = _known(case)
    if known is None and case.product.kind is Kind.SUB_DEVICE and case.topology.is_full:
        return _object(case, Reason.TOPOLOGY_FULL)
    if known is None:
        return _Finding("It is not in the topology.")
    reason = STANDING[known.state]
    if reason is Reason.ALREADY_MEMBER and _may_return(case.request, known):
        return _Finding(f"It is in the topology as {known.device} and may join once more.")
    return _object(case, reason)


def _check_right(case: _Case) -> _Finding:
    return _check_grant(case) if case.product.kind is Kind.DIRECT else _check_window(case)


def _check_grant(case: _Case) -> _Finding:
    names = {str(case.request.device), case.request.enrollee}
    live = [grant for grant in case.grants if grant.name in names and case.now < grant.ends]
    if not live:
        return _object(case, Reason.NO_START_COMMAND)
    grant = max(live, key=lambda g: g.ends)
    left = grant.ends - case.now
    sentence = _say(case, Reason.START_COMMAND, by=grant.by, ends=_seconds(left))
    return _Finding(sentence, ends_in=left)


def _check_window(case: _Case) -> _Finding:
    key = case.product.product_key
    window = open_window(case.permits, key, case.now)
    if window is None:
        return _closed(case)
    left = None if window.ends is None else window.ends - case.now
    ends = "with the next command" if left is None else f"in {_seconds(left)}"
    sentence = _say(case, Reason.WINDOW_OPEN, by=window.by, ends=ends)
    return _Finding(sentence, window=window, ends_in=left)


def _closed(case: _Case) -> _Finding:
    key = case.product.product_key
    if key in case.permits.denied:
        return _object(case, Reason.PRODUCT_DENIED)
    windows = (case.permits.windows.get(key), case.permits.windows.get(ANY))
    ended = [w.ends for w in windows if w is not None and w.ends is not None]
    if not ended:
        return _object(case, Reason.WINDOW_CLOSED)
    ago = _seconds(case.now - max(ended))
    return _Finding(_say(case, Reason.WINDOW_EXPIRED, ends=ago), Reason.WINDOW_EXPIRED)


def _check_pace(case: _Case) -> _Finding:
    left = 0.0 if case.tried is None else case.tried + PACE - case.now
    if left > 0:
        return _Finding(_say(case, Reason.TOO_SOON, ends=_seconds(left)), Reason.TOO_SOON)
    return _Finding("It was not tried within the last 30 s.")


def _check_store(case: _Case) -> _Finding:
    if not case.writable:
        return _object(case, Reason.STORE_UNAVAILABLE)
    return _Finding("The state can be written.")


def _known(case: _Case) -> SubDevice | None:
    request = case.request
    named = case.topology.get(request.device)
    if named is not None or request.product_id is None or request.mac is None:
        return named
    return case.topology.by_record(request.product_id, request.mac)


def _may_return(request: JoinRequest, known: SubDevice) -> bool:
    came_the_same_way = (request.medium, request.address) == (known.medium, known.address)
    return request.overwrite or (request.enrollee is None and came_the_same_way)


def _seconds(value: float) -> str:
    return f"{max(0, math.ceil(value))} s"


STANDING: Mapping[State, Reason] = {
    State.JOINING: Reason.JOIN_RUNNING,
    State.MEMBER: Reason.ALREADY_MEMBER,
    State.DISABLED: Reason.DEVICE_DISABLED,
    State.REMOVING: Reason.BEING_REMOVED,
}

# In the order in which an objection is said: first what no window would cure.
CHECKS: Mapping[str, Callable[[_Case], _Finding]] = {
    "product": _check_product,
    "kind": _check_kind,
    "record": _check_record,
    "name": _check_name,
    "security": _check_security,
    "bound": _check_bound,
    "topology": _check_member,
    "right": _check_right,
    "pace": _check_pace,
    "store": _check_store,
}
