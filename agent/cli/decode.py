"""``enrollctl decode``: what one advertisement or one 802.11 frame says, without a daemon."""

from __future__ import annotations

import argparse
import binascii
import json
import os

from agent.codec import ad
from agent.codec.dot11 import FrameReader
from agent.codec.fields import ble_fields, station_fields
from agent.errors import FrameError

DOT11, RADIOTAP = 105, 127

Document = dict[str, object] | None
# argparse gives its own result no public name.
Commands = argparse._SubParsersAction


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the commands ``decode advert`` and ``decode frame``."""
    decode = commands.add_parser("decode", help="decode one advertisement or frame")
    verbs = decode.add_subparsers(metavar="VERB", required=True)
    advert = verbs.add_parser("advert", help="advertising data: a list of AD structures")
    advert.add_argument("hex", metavar="HEX")
    advert.set_defaults(run=run_advert)
    frame = verbs.add_parser("frame", help="one 802.11 frame without FCS")
    frame.add_argument("hex", metavar="HEX")
    frame.add_argument("--radiotap", action="store_true", help="a radiotap header stands in front")
    frame.add_argument("--dissect", action="store_true", help="also print scapy's dissection")
    frame.set_defaults(run=run_frame)


def run_advert(args: argparse.Namespace) -> int:
    """Print the record as JSON, ``null`` when it is not ours; 65 when it is ours but broken."""
    try:
        record = ad.read_advert(_octets(args.hex))
    except FrameError as error:
        return _print({"error": str(error)})
    return _print(ble_fields(record) if record else None)


def run_frame(args: argparse.Namespace) -> int:
    """Print the frame as JSON, ``null`` when it is of another kind; 65 when it or an AA element is broken."""
    try:
        data = _octets(args.hex)
    except FrameError as error:
        return _print({"error": str(error)})
    frame = _read_frame(data, RADIOTAP if args.radiotap else DOT11)
    code = _print(frame)
    if args.dissect and (frame is None or "kind" in frame):  # what has no header is nothing to dissect
        _dissect(data, radiotap=args.radiotap)
    return code


def _read_frame(data: bytes, link_type: int) -> Document:
    reader = FrameReader(link_type)
    try:
        station = reader.read(data, 0, len(data))
    except FrameError as error:
        return {"error": str(error)}
    if station is None:
        return None
    fields = station_fields(station, reader.rssi)
    return {"error": station.trouble, **fields} if station.trouble else fields


def _octets(text: str) -> bytes:
    try:
        return binascii.unhexlify(text)
    except ValueError:  # binascii.Error is one, and so is what it says to text that is not ASCII
        raise FrameError("HEX must be an even number of hex digits and nothing else") from None


def _print(document: Document) -> int:
    print(json.dumps(document and {"v": 1, **document}))
    return os.EX_DATAERR if document and "error" in document else os.EX_OK


def _dissect(data: bytes, *, radiotap: bool) -> None:
    from scapy.layers.dot11 import Dot11, RadioTap

    print((RadioTap if radiotap else Dot11)(data).show(dump=True))
