"""A gateway for the tests of sockets and CLI: it answers fixed documents and records what it was told."""

from __future__ import annotations

from typing import Any

from agent.errors import InputRefused
from agent.events import EventLog
from agent.ports import Clock

Json = dict[str, Any]

ADAPTERS: list[Json] = [
    {
        "name": "hci0",
        "kind": "ble",
        "state": "listening",
        "heard": 1204,
        "last_heard": 0.1,
        "trouble": None,
        "next_try": None,
    },
    {
        "name": "wlan1",
        "kind": "wifi",
        "state": "down",
        "heard": 7,
        "last_heard": None,
        "trouble": "adapter gone",
        "next_try": 8.0,
    },
]
ADAPTER_GONE: Json = {
    "code": "adapter_gone",
    "subject": "wlan1",
    "severity": "error",
    "text": "adapter gone, 3 tries",
    "since": "2023-11-14T10:41:07Z",
    "caused_by": None,
}
NO_SCANNER: Json = {
    "code": "wifi_no_scanner",
    "subject": "",
    "severity": "warning",
    "text": "nobody scans",
    "since": "2023-11-14T10:42:00Z",
    "caused_by": "adapter_gone",
}
WINDOWS: list[Json] = [
    {
        "product_key": None,
        "always": False,
        "ends_in": 94.2,
        "opened_ago": 30.0,
        "by": "cloud",
        "capped": False,
    },
    {
        "product_key": "a1Plug",
        "always": True,
        "ends_in": None,
        "opened_ago": 4000.0,
        "by": "cli",
        "capped": False,
    },
]
STATUS: Json = {
    "v": 1,
    "version": "0.1.0",
    "gateway": {"product_key": "a1Gateway", "device_name": "gw-1", "bound": True},
    "uptime": 10_921.5,
    "link": {"kind": "embedded", "state": "online", "since": "2023-11-14T08:00:00Z"},
    "adapters": ADAPTERS,
    "permits": {"open": WINDOWS, "denied": ["a1Lock"]},
    "enrollees": {
        "total": 12,
        "capacity": 4096,
        "configured": 3,
        "other": 1,
        "access_points": 7,
        "strangers": 1,
        "on_report": 2,
    },
    "subdevices": {"total": 4, "online": 3},
    "joins": {"admitted": 6, "refused": {"window_closed": 5, "unknown_product": 2}},
    "tokens": {"waiting": 3, "oldest": 41.0},
    "warnings": [ADAPTER_GONE, NO_SCANNER],
}
ENROLLEES: Json = {
    "v": 1,
    "enrollees": [
        {
            "id": "ble:AA:BB:CC:00:11:22/000aa7ab",
            "kind": "ble",
            "address": "5C:00:00:00:00:01",
            "class": "configured",
            "product_key": "a1Plug",
            "product_name": "插座",
            "rssi": -61,
            "age": 0.4,
            "first_seen": "2023-11-14T10:00:00Z",
            "count": 31,
            "state": "reported",
            "reported_ago": 12.0,
            "mac": "AA:BB:CC:00:11:22",
        },
        {
            "id": "wifi:a1Lamp/lamp-7",
            "kind": "wifi",
            "address": "02:00:00:00:00:07",
            "class": "other",
            "product_key": "a1Lamp",
            "product_name": None,
            "rssi": None,
            "age": 75.0,
            "first_seen": "2023-11-14T10:00:00Z",
            "count": 2,
            "state": "found",
            "reported_ago": None,
            "device_name": "lamp-7",
        },
    ],
    "access_points": [
        {
            "bssid": "02:AA:00:00:00:01",
            "ssid": "\x1b]0;owned\x07home\u202e",
            "ssid_hex": "1b5d303b6f776e656407686f6d65e280ae",
            "hidden": False,
            "channel": 6,
            "rssi": -40,
            "security": "wpa2",
            "frames": 900,
            "age": 0.1,
        }
    ],
}
SUBDEVICES: Json = {
    "v": 1,
    "subdevices": [
        {
            "id": "a1Plug/aabbcc001122",
            "product_key": "a1Plug",
            "device_name": "aabbcc001122",
            "state": "online",
            "bound": False,
            "medium": "ble",
            "address": "AA:BB:CC:00:11:22",
            "joined": "2023-11-14T09:30:00Z",
        }
    ],
}
TOKENS: Json = {
    "v": 1,
    "waiting": 3,
    "oldest": 41.0,
    "margin": 79.0,
    "dropped": {"late": 2},
    "tokens": [
        {"device": "a1Plug/aabbcc001122", "state": "waiting", "age": 41.0, "life_left": 79.0, "attempts": 2}
    ],
}
WHY: Json = {
    "v": 1,
    "subject": "a1Plug/aabbcc001122",
    "decision": {
        "admitted": False,
        "reason": "no_window",
        "sentence": "no window is open for a1Plug",
        "at": "2023-11-14T10:41:07Z",
    },
    "facts": [
        {"name": "product", "sentence": "a1Plug is configured"},
        {"name": "window", "sentence": "none"},
    ],
}


class RecordingAgent:
    """Satisfies `agent.status.verbs.Agent`; ``told`` lists each change that was asked for.

    ``trouble`` is raised by the next verb that has arguments, once.
    """

    def __init__(self, clock: Clock) -> None:
        self.log = EventLog(clock)
        self.told: list[tuple[object, ...]] = []
        self.trouble: Exception | None = None
        self.status_document: Json = dict(STATUS)

    def _tell(self, *what: object) -> None:
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            raise trouble
        self.told.append(what)

    def status(self) -> Json:
        return self.status_document

    def enrollees(self) -> Json:
        return ENROLLEES

    def permits(self) -> Json:
        return {"v": 1, "windows": WINDOWS, "denied": ["a1Lock"], "ceiling": None}

    def subdevices(self) -> Json:
        return SUBDEVICES

    def tokens(self) -> Json:
        return TOKENS

    def adapters(self) -> Json:
        return {"v": 1, "adapters": ADAPTERS}

    def health(self) -> Json:
        warnings = self.status_document["warnings"]
        return {"v": 1, "ok": not warnings, "warnings": warnings}

    def why(self, name: str) -> Json:
        self._tell("why", name)
        if name not in {WHY["subject"], ENROLLEES["enrollees"][0]["id"]}:
            raise InputRefused(f"nothing is known of {name}", code=404)
        return WHY

    async def permit(self, product_key: str | None, time: object, by: str) -> Json:
        self._tell("permit", product_key, time, by)
        if not isinstance(time, int) or not 0 <= time <= 65535:
            raise InputRefused("time must be 0 to 65535")
        return {"v": 1, "code": 200, "windows": WINDOWS}

    async def join(self, body: Json) -> Json:
        self._tell("join", body)
        return {"v": 1, "decision": "admitted", "reason": "window", "ticket": "t-1", "ends_in": 60}

    async def complete_join(self, ticket: str, body: Json) -> Json:
        self._tell("complete_join", ticket, body)
        return {"v": 1, "state": "joining"}

    def join_state(self, ticket: str) -> Json:
        self._tell("join_state", ticket)
        return {"v": 1, "state": "online", "code": 200, "sentence": "logged in"}

    async def provision(
        self, enrollee: str, network: str | None, passphrase: str | None, overwrite: bool, by: str
    ) -> Json:
        self._tell("provision", enrollee, network, passphrase, overwrite, by)
        admitted = enrollee != "wifi:a1Lamp/lamp-7"
        return {
            "v": 1,
            "decision": "admitted" if admitted else "refused",
            "reason": "granted" if admitted else "bound",
            "sentence": "it may start" if admitted else "it is bound already",
            "ends_in": 60.0 if admitted else None,
            "enrollee": enrollee,
        }

    async def forget(self, name: str, by: str) -> Json:
        self._tell("forget", name, by)
        return {"v": 1, **SUBDEVICES["subdevices"][0], "state": "removing"}

    async def create_account(self, name: str) -> Json:
        self._tell("create_account", name)
        return {"v": 1, "url": None, "auth_code": "a" * 32}

    def set_log_level(self, level: str) -> Json:
        self._tell("loglevel", level)
        return {"v": 1, "level": level}
