"""The daemon's documents as rows for people."""

from __future__ import annotations

from datetime import UTC, datetime

from agent.cli.client import Json
from agent.cli.table import align, duration, printable, titled

Row = tuple[str, ...]


def status_lines(document: Json) -> list[str]:
    """What is so now in aligned rows, then a ``#`` line for each trouble that has no other behind it."""
    rows = [
        gateway_row(document),
        cloud_row(document),
        *[(a["kind"], a["name"], a["state"], adapter_detail(a)) for a in document["adapters"]],
        *permit_rows(document["permits"]["open"], document["permits"]["denied"]),
        *count_rows(document),
    ]
    codes = {w["code"] for w in document["warnings"]}
    return align(rows) + [trouble_line(w) for w in document["warnings"] if w["caused_by"] not in codes]


def gateway_row(document: Json) -> Row:
    gateway = document["gateway"]
    name = f"{gateway['product_key']}/{gateway['device_name']}"
    bound = "bound" if gateway["bound"] else "unbound"
    return "gateway", name, bound, f"enrolld {document['version']}, up {duration(document['uptime'])}"


def cloud_row(document: Json) -> Row:
    tokens, link = document["tokens"], document["link"]
    waiting = f"{tokens['waiting']} tokens waiting"
    if tokens["oldest"] is not None:
        waiting += f", oldest {duration(tokens['oldest'])}"
    return "cloud", link["kind"], link["state"], waiting


def count_rows(document: Json) -> list[Row]:
    known, devices = document["enrollees"], document["subdevices"]
    kinds = (
        f"{known['configured']} configured, {known['other']} other, {known['access_points']} access points, "
    )
    kinds += f"{known['strangers']} strangers; {known['on_report']} on report"
    return [
        ("devices", "", f"{devices['online']} online", f"of {devices['total']} sub-devices"),
        ("heard", "", f"{known['total']} of {known['capacity']}", kinds),
    ]


def adapter_detail(adapter: Json) -> str:
    if adapter["trouble"]:
        again = "" if adapter["next_try"] is None else f"; next try in {duration(adapter['next_try'])}"
        return f"{adapter['trouble']}{again}"
    last = "" if adapter["last_heard"] is None else f", last {duration(adapter['last_heard'])} ago"
    return f"{adapter['heard']} heard{last}"


def permit_rows(windows: list[Json], denied: list[str]) -> list[Row]:
    rows: list[Row] = [("permit", w["product_key"] or "any", "open", window_detail(w)) for w in windows]
    rows += [("permit", product, "denied", "") for product in denied]
    return rows or [("permit", "", "closed", "")]


def window_detail(window: Json) -> str:
    left = "until closed" if window["ends_in"] is None else f"{duration(window['ends_in'])} left"
    return f"{left}, opened by {window['by']}{', cut by the ceiling' if window['capped'] else ''}"


def permit_lines(document: Json) -> list[str]:
    """Windows and denied products; the document of ``/v1/permits``."""
    return align(permit_rows(document["windows"], document.get("denied", [])))


def trouble_line(warning: Json) -> str:
    """``# wlan1: adapter gone since 10:41:07Z``."""
    return printable(
        f"# {warning['subject'] or warning['code']}: {warning['text']} since {when(warning['since'])}"
    )


def health_lines(document: Json) -> list[str]:
    """Every trouble with its code, and the one behind it."""
    if not document["warnings"]:
        return ["nothing is wrong"]
    rows = []
    for w in document["warnings"]:
        cause = f" (because of {w['caused_by']})" if w["caused_by"] else ""
        rows.append((w["severity"], w["code"], w["subject"] or "-", when(w["since"]), w["text"] + cause))
    return titled(("severity", "code", "subject", "since", "what"), rows, "")


def when(iso: str) -> str:
    """The time of day of an ISO-8601 text, with its date unless that is today's (UTC)."""
    day, _, time = iso.partition("T")
    return time if day == datetime.now(UTC).date().isoformat() else f"{day} {time}"


def dash(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def enrollee_lines(document: Json) -> list[str]:
    """The document of ``/v1/enrollees``: enrollees."""
    titles = ("enrollee", "class", "product", "state", "rssi", "count", "heard")
    rows = [
        (
            e["id"],
            e["class"],
            dash(e["product_name"] or e["product_key"]),
            e["state"],
            dash(e["rssi"]),
            str(e["count"]),
            f"{duration(e['age'])} ago",
        )
        for e in document["enrollees"]
    ]
    return titled(titles, rows, "no enrollee was heard")


def access_point_lines(document: Json) -> list[str]:
    """The document of ``/v1/enrollees``: access points."""
    titles = ("access point", "ssid", "channel", "security", "rssi", "frames", "heard")
    rows = [
        (
            a["bssid"],
            "(hidden)" if a["hidden"] else a["ssid"],
            dash(a["channel"]),
            dash(a["security"]),
            dash(a["rssi"]),
            str(a["frames"]),
            f"{duration(a['age'])} ago",
        )
        for a in document["access_points"]
    ]
    return titled(titles, rows, "no access point was heard")


def subdevice_lines(document: Json) -> list[str]:
    """The document of ``/v1/subdevices``."""
    titles = ("sub-device", "state", "bound", "medium", "address", "joined")
    rows = [
        (
            s["id"],
            s["state"],
            "bound" if s["bound"] else "unbound",
            s["medium"],
            dash(s["address"]),
            dash(s["joined"]),
        )
        for s in document["subdevices"]
    ]
    return titled(titles, rows, "no sub-device has joined")


def token_lines(document: Json) -> list[str]:
    """The document of ``/v1/tokens``."""
    titles = ("device", "state", "age", "left", "attempts")
    rows = [
        (t["device"], t["state"], duration(t["age"]), duration(t["life_left"]), str(t["attempts"]))
        for t in document["tokens"]
    ]
    dropped = [printable(f"# {n} dropped: {reason}") for reason, n in sorted(document["dropped"].items())]
    return titled(titles, rows, "no token is on its way") + dropped


def adapter_lines(document: Json) -> list[str]:
    """The document of ``/v1/adapters``."""
    rows = [(a["kind"], a["name"], a["state"], adapter_detail(a)) for a in document["adapters"]]
    return align(rows) if rows else ["no radio is configured"]
