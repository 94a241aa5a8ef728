"""``enrollctl replay``: captures through the real discovery, as fast as it goes, without a daemon."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from agent.cli.playback import Tally, play
from agent.cli.table import titled
from agent.codec.capture import CaptureBroken
from agent.codec.fields import ble_fields, wifi_fields
from agent.entries import Entry
from agent.model import BleRecord, WifiRecord, mac_text, ssid_text
from agent.registry import CAPACITY, Registry
from hw.replay import open_capture

Played = tuple[Tally, int, str | None]
"""What became of a file, its exit code, and what is wrong with it."""

# argparse gives its own result no public name.
Commands = argparse._SubParsersAction


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command ``replay``."""
    parser = commands.add_parser(
        "replay",
        help="run captures through discovery",
        description="Read pcap, pcapng, BTSnoop or JSON-lines captures; print what discovery finds in them.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run_replay)


def run_replay(args: argparse.Namespace) -> int:
    """Print what the files hold; 65 when one is broken or no capture, 66 when one cannot be read."""
    # No product is configured here: the share of unconfigured ones is the whole table.
    registry = Registry({}, lambda record: None, most_others=CAPACITY)
    began = time.perf_counter()
    played = [_play_file(path, registry) for path in args.files]
    document = _document(played, registry, time.perf_counter() - began)
    for _, _, error in played:
        if error:
            print(f"enrollctl: {error}", file=sys.stderr)
    print(json.dumps(document) if args.json else _table(document, registry))
    return max(code for _, code, _ in played)


def _play_file(path: Path, registry: Registry) -> Played:
    tally = Tally()
    try:
        with open_capture(path) as buffer:
            play(buffer, registry, tally)
    except CaptureBroken as error:
        return tally, os.EX_DATAERR, f"cannot read all of {path}: {error}"
    except OSError as error:
        return tally, os.EX_NOINPUT, f"cannot read {path}: {error.strerror or error}"
    return tally, os.EX_OK, None


def _document(played: list[Played], registry: Registry, seconds: float) -> dict[str, object]:
    tallies = [tally for tally, _, _ in played]
    losses = registry.losses()
    document: dict[str, object] = {
        "v": 1,
        "frames": sum(tally.frames for tally in tallies),
        "malformed": sum(tally.malformed for tally in tallies),
        "ignored": sum(tally.ignored for tally in tallies),
        "used": sum(tally.used for tally in tallies),
        "broken_elements": losses.get("ignored_broken_element", 0),
        "not_kept": sum(n for name, n in losses.items() if name.startswith(("refused_", "evicted_"))),
        "seconds": round(seconds, 6),
        "capture_seconds": round(sum(tally.seconds for tally in tallies), 6),
        "access_points": [_access_point(entry) for entry in registry.access_points()],
        "enrollees": [_enrollee(entry) for entry in registry.entries()],
    }
    errors = [error for _, _, error in played if error]
    if errors:
        document["error"] = "; ".join(errors)
    return document


def _access_point(entry: Entry) -> dict[str, object]:
    station = entry.described
    return {
        "bssid": mac_text(entry.address),
        "ssid_hex": station.ssid.hex() if station else "",
        "channel": station.channel if station else None,
        "rssi": entry.rssi,
        "security": station.security if station else None,
        "frames": entry.count,
    }


def _enrollee(entry: Entry) -> dict[str, object]:
    row: dict[str, object] = {
        "id": entry.id,
        "kind": entry.kind,
        "address": mac_text(entry.address),
        "rssi": entry.rssi,
        "count": entry.count,
    }
    record = entry.record
    if isinstance(record, BleRecord):
        return row | ble_fields(record)
    return row | wifi_fields(record) if isinstance(record, WifiRecord) else row


def _table(document: dict[str, object], registry: Registry) -> str:
    lines = [
        "{frames} frames: {used} used, {ignored} ignored, {malformed} malformed, "
        "{broken_elements} with a broken enrollee element".format_map(document),
        "{seconds:.3f} s for a capture of {capture_seconds:.3f} s; {not_kept} not kept".format_map(document),
    ]
    networks = [_network_row(entry) for entry in registry.access_points()]
    if networks:
        lines += ["", *titled(("bssid", "channel", "rssi", "security", "frames", "ssid"), networks, "")]
    enrollees = [_enrollee_row(entry) for entry in registry.entries()]
    if enrollees:
        lines += ["", *titled(("enrollee", "address", "rssi", "count"), enrollees, "")]
    return "\n".join(lines)


def _network_row(entry: Entry) -> list[str]:
    station = entry.described
    address = mac_text(entry.address)
    if station is None:
        return [address, "-", _cell(entry.rssi), "-", str(entry.count), ""]
    name = "(hidden)" if station.hidden and not station.ssid.strip(b"\0") else ssid_text(station.ssid)
    return [
        address,
        _cell(station.channel),
        _cell(entry.rssi),
        _cell(station.security),
        str(entry.count),
        name,
    ]


def _enrollee_row(entry: Entry) -> list[str]:
    return [entry.id, mac_text(entry.address), _cell(entry.rssi), str(entry.count)]


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
