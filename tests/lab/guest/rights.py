"""One Unix user tries every verb on every socket; prints what came back as JSON. Run as that user."""

from __future__ import annotations

import json

from tests.lab.guest.machine import RUN, fetch

READS = ("status", "enrollees", "permits", "subdevices", "tokens", "adapters", "health", "events", "why/x")
VERBS: dict[str, tuple[str, str, object]] = {
    **{f"GET {name}": ("GET", f"/v1/{name}", None) for name in READS},
    "GET metrics": ("GET", "/metrics", None),
    "POST joins": (
        "POST",
        "/v1/joins",
        {
            "v": 1,
            "medium": "zigbee",
            "address": "00:01",
            "product_key": "a1LabLamp001",
            "device_name": "lamp-9",
        },
    ),
    "POST done": ("POST", "/v1/joins/none/done", {"v": 1, "sign_params": None}),
    "GET join": ("GET", "/v1/joins/none", None),
    "POST permits": ("POST", "/v1/permits", {"v": 1, "product_key": "a1LabLamp001", "time": 65535}),
    "POST provision": ("POST", "/v1/provision", {"v": 1, "enrollee": "nobody"}),
    "DELETE subdevice": ("DELETE", "/v1/subdevices/a1LabLamp001/none", None),
    "PUT loglevel": ("PUT", "/v1/loglevel", {"v": 1, "level": "debug"}),
}
READING = {verb for verb in VERBS if verb.startswith("GET ") and verb != "GET join"}
JOINING = {"POST joins", "POST done", "GET join"}
CHANGING = set(VERBS) - READING - JOINING
# What each socket answers; everything else must be refused there with 403.
ALLOWED = {"enrolld.sock": READING, "join.sock": JOINING, "admin.sock": READING | CHANGING}
USERS = {"reader": "enrolld.sock", "joiner": "join.sock", "boss": "admin.sock", "stranger": None}
UNKNOWN = {"GET why/x", "POST done", "GET join", "POST provision", "DELETE subdevice"}


def attempt() -> dict[str, dict[str, object]]:
    """By socket and verb: the HTTP status, or the name of the error that opening it gave."""
    seen: dict[str, dict[str, object]] = {}
    for name in ALLOWED:
        row = seen[name] = {}
        for verb, (method, target, body) in VERBS.items():
            try:
                row[verb] = fetch(method, target, body, on=name)[0]
            except OSError as error:
                row[verb] = type(error).__name__
    return seen


def judge(user: str, seen: dict[str, dict[str, object]]) -> None:
    """AssertionError for the first verb that a user could do, or could not do, against his right."""
    for name, verbs in ALLOWED.items():
        for verb in VERBS:
            expected: object = "PermissionError"
            if USERS[user] == name:
                expected = (404 if verb in UNKNOWN else 200) if verb in verbs else 403
            assert seen[name][verb] == expected, (
                f"{user} on {name}: {verb} gave {seen[name][verb]}, not {expected}"
            )


if __name__ == "__main__":
    assert RUN.is_dir()
    print(json.dumps(attempt()))
