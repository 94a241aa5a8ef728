"""What the demo says of each event, in words for somebody who has never seen enrolld."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Event = dict[str, Any]

REASONS = {
    "expired": "its time is over",
    "closed": "a command closed it",
    "replaced": "a new one took its place",
}


def tell(event: Event) -> tuple[str, str] | None:
    """Who acts and what happens, or None for what is not worth a line."""
    teller = TELLERS.get(event["kind"])
    return None if teller is None else teller(event)


def _radio(event: Event) -> tuple[str, str]:
    return "gateway", f"its {event['medium']} radio ({event['radio']}) listens"


def _started(event: Event) -> tuple[str, str]:
    return "gateway", f"enrolld {event['version']} is ready"


def _connected(event: Event) -> tuple[str, str]:
    return "gateway", "is connected to the cloud (embedded: in the same process)"


def _found(event: Event) -> tuple[str, str]:
    rssi = "" if event.get("rssi") is None else f", {event['rssi']} dBm"
    whose = event.get("product_key") or "no product file here"
    return "radio", f"hears {event['id']} ({whose}{rssi})"


def _reported(event: Event) -> tuple[str, str]:
    return "gateway", f"reports {event['id']} to the cloud"


def _asked(event: Event) -> tuple[str, str]:
    return "device", f"{event['device']} asks to join over {event['medium']}"


def _refused(event: Event) -> tuple[str, str]:
    return "gateway", f"refuses {event['device']}: {event['sentence']}"


def _admitted(event: Event) -> tuple[str, str]:
    return "gateway", f"admits {event['device']} ({event['reason'].replace('_', ' ')})"


def _opened(event: Event) -> tuple[str, str]:
    ends = "until the next command" if event["ends_in"] is None else f"for {event['ends_in']:.0f} s"
    return (
        "gateway",
        f"opens a window for {event['product_key'] or 'any product'} {ends}, by word of the {event['by']}",
    )


def _closed(event: Event) -> tuple[str, str]:
    reason = REASONS.get(event["reason"], event["reason"])
    return "gateway", f"closes the window for {event['product_key'] or 'any product'}: {reason}"


def _joining(event: Event) -> tuple[str, str]:
    return "gateway", f"adds {event['device']} to its topology and logs it in"


def _online(event: Event) -> tuple[str, str]:
    return "cloud", f"{event['device']} is online"


def _token(event: Event) -> tuple[str, str]:
    return "gateway", f"reports a bind token of {event['device']}"


def _own_token(event: Event) -> tuple[str, str] | None:
    if event["code"] != 200:
        return None
    return "device", f"{event['device']} is on the network and reports its own bind token"


def _bound(event: Event) -> tuple[str, str]:
    return "cloud", f"tells the gateway that {event['device']} has an owner now"


def _checkin(event: Event) -> tuple[str, str]:
    return "cloud", f"asks the gateway to start {event['device']}"


def _user(event: Event) -> tuple[str, str] | None:
    device, total = event.get("device"), event.get("total")
    words = {
        "list": f"asks for the list of discovered devices: {total}",
        "filter": f"asks which of them can be bound: {total}",
        "permit": f"lets {event.get('product_key') or 'any product'} join for {event.get('time')} s",
        "check": f"checks the token of {device}: good",
        "bind": f"binds {device} to the home",
        "checkin": f"taps {device} to start it",
        "remove": f"removes {device}",
    }
    return "user", words[event["did"]]


def _left(event: Event) -> tuple[str, str] | None:
    return None if ":" in event["device"] else ("device", f"{event['device']} is silent now")


def _surprised(event: Event) -> tuple[str, str]:
    return "home", f"not as the script has it: {event['sentence']}"


def _warned(event: Event) -> tuple[str, str]:
    return "health", f"{event['code']}: {event['text']}"


TELLERS: dict[str, Callable[[Event], tuple[str, str] | None]] = {
    "radio_opened": _radio,
    "daemon_started": _started,
    "cloud_connected": _connected,
    "enrollee_found": _found,
    "enrollee_reported": _reported,
    "home_join_asked": _asked,
    "join_refused": _refused,
    "join_admitted": _admitted,
    "permit_opened": _opened,
    "permit_closed": _closed,
    "subdevice_joining": _joining,
    "subdevice_online": _online,
    "token_reported": _token,
    "home_token_reported": _own_token,
    "gateway_bound": _bound,
    "subdevice_bound": _bound,
    "checkin_received": _checkin,
    "user_acted": _user,
    "home_left": _left,
    "home_surprised": _surprised,
    "warning_raised": _warned,
}
