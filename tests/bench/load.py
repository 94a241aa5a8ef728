"""A pcap of beacons and probe requests as a busy place has them; the same arguments give the same octets.

Each access point keeps its elements but for TIM and, for some, BSS load; time, sequence and signal change in
every frame.
"""

from __future__ import annotations

import argparse
import random
import struct
from dataclasses import dataclass
from pathlib import Path

RSN = b"\x30\x14\x01\x00\x00\x0f\xac\x04\x01\x00\x00\x0f\xac\x04\x01\x00\x00\x0f\xac\x02\x00\x00"
HT_CAPABILITIES = b"\x2d\x1a\xef\x19\x1b\xff\xff\xff" + bytes(20)
WMM = bytes.fromhex("dd180050f2020101840003a4000027a4000042435e0062322f00")
RATES = b"\x01\x08\x82\x84\x8b\x96\x0c\x12\x18\x24"
EXTENDED = b"\x7f\x08\x04\x00\x08\x00\x00\x00\x00\x40"
VENDORS = (b"", b"\xdd\x09\x00\x03\x7f\x01\x01\x00\x00\xff\x7f", b"\xdd\x07\x00\x0c\x43\x00\x00\x00\x00")


@dataclass(slots=True)
class AccessPoint:
    """One sender: its address, what it says before and behind its TIM, and what changes."""

    address: bytes
    frequency: int
    before: bytes
    behind: bytes
    loaded: bool
    turn: int = 0


def make_access_point(dice: random.Random, number: int) -> AccessPoint:
    channel = dice.choice((1, 6, 11))
    name = b"network%05d" % number
    before = b"\x00" + bytes((len(name),)) + name + RATES + b"\x03\x01" + bytes((channel,))
    operation = b"\x3d\x16" + bytes((channel,)) + bytes(21)
    behind = RSN + HT_CAPABILITIES + operation + EXTENDED + WMM + dice.choice(VENDORS)
    return AccessPoint(dice.randbytes(6), 2407 + 5 * channel, before, behind, dice.random() < 0.35)


def make_beacon(ap: AccessPoint) -> bytes:
    ap.turn += 1
    head = struct.pack("<I6s6s6sH", 0x80, b"\xff" * 6, ap.address, ap.address, (ap.turn & 4095) << 4)
    fixed = struct.pack("<QHH", ap.turn * 102400, 100, 0x0411)
    tim = bytes((5, 4, ap.turn % 3, 3, 0, 0))
    load = bytes((11, 5, 7, 0, ap.turn // 5 & 255, 0, 0)) if ap.loaded else b""
    return head + fixed + ap.before + tim + load + ap.behind


def make_request(dice: random.Random, source: bytes) -> bytes:
    head = struct.pack("<I6s6s6sH", 0x40, b"\xff" * 6, source, b"\xff" * 6, dice.randrange(4096) << 4)
    name = dice.choice((b"", b"", b"HomeNet", b"eduroam"))
    return head + bytes((0, len(name))) + name + RATES + HT_CAPABILITIES + EXTENDED


def write_load(path: Path, frames: int, access_points: int, *, flood: bool = False, seed: int = 1) -> None:
    """Write ``frames`` records; ``flood`` draws the sender of each at random instead of in turn."""
    dice = random.Random(seed)
    aps = [make_access_point(dice, number) for number in range(access_points)]
    phones = [dice.randbytes(6) for _ in range(max(20, access_points // 4))]
    with path.open("wb", buffering=1 << 20) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 127))
        for number in range(frames):
            ap = dice.choice(aps) if flood else aps[number % access_points]
            probing = not flood and dice.random() < 0.15
            frame = make_request(dice, dice.choice(phones)) if probing else make_beacon(ap)
            signal = dice.randrange(-95, -30)
            header = struct.pack("<BBHIBBHHbBH", 0, 0, 18, 0x482E, 0, 2, ap.frequency, 0xA0, signal, 1, 0)
            size = len(header) + len(frame)
            seconds, micros = divmod(number * 500, 1_000_000)
            file.write(struct.pack("<IIII", 1_700_000_000 + seconds, micros, size, size) + header + frame)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--frames", type=int, default=500_000)
    parser.add_argument("--aps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flood", action="store_true")
    given = parser.parse_args()
    write_load(given.path, given.frames, given.aps, flood=given.flood, seed=given.seed)


if __name__ == "__main__":
    main()
