"""What a repeated advertisement costs in the registry, beside a bare dict update and a flood's newcomer."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

from agent.model import Product, Station, WifiRecord
from agent.registry import Registry

ROUNDS = 9
REPEATS = 40_000
ADDRESS = b"\1\2\3\4\5\6"
NUMBERS = itertools.count(1000)
PRODUCT = Product("a1bench0001", "Lamp", 5, product_ids=(7,))


def advert(number: int) -> bytes:
    """Manufacturer data of B1 for product 7 (ble-breeze.md 2.2)."""
    return b"\xa8\x01\x06\x19" + (7).to_bytes(4, "little") + number.to_bytes(6, "little")


def sealed(record: WifiRecord) -> bool | None:
    return None


def fresh() -> Registry:
    return Registry({PRODUCT.product_key: PRODUCT}, sealed)


def copies() -> list[bytes]:
    """200 devices in turn; each frame its own object, as from a radio, so that its hash is computed."""
    known = [advert(n) for n in range(200)]
    return [bytes(bytearray(known[n % 200])) for n in range(REPEATS)]


def strange() -> list[bytes]:
    """Frames of devices that were never heard before."""
    return [advert(next(NUMBERS)) for _ in range(REPEATS)]


def bare(frames: list[bytes]) -> None:
    table: dict[bytes, tuple[int, float]] = {}
    for frame in frames:
        table[frame] = (-60, 1.0)


def adverts(registry: Registry) -> Callable[[list[bytes]], None]:
    def run(frames: list[bytes]) -> None:
        for frame in frames:
            registry.see_advert(ADDRESS, -60, frame, 1.0)

    return run


def beacons(frames: list[bytes]) -> None:
    registry = fresh()
    stations = [
        Station(
            "beacon",
            n.to_bytes(6, "big"),
            n.to_bytes(6, "big"),
            b"net",
            hidden=False,
            channel=6,
            security="wpa2",
        )
        for n in range(200)
    ]
    for number in range(len(frames)):
        registry.see_station(stations[number % 200], -60, 0, 1.0)


def main() -> None:
    """Print microseconds of CPU per call and the ratio to the bare dict update, medians of rounds."""
    jobs = {
        "bare dict update": (copies, bare),
        "repeated advert": (copies, adverts(fresh())),
        "repeated beacon": (copies, beacons),
        "flood: newcomer that evicts": (strange, adverts(fresh())),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, (make, run) in jobs.items():
            frames = make()
            begin = time.process_time()
            run(frames)
            times[name].append((time.process_time() - begin) / REPEATS * 1e6)
    base = times["bare dict update"]
    for name, spent in times.items():
        ratio = statistics.median(one / other for one, other in zip(spent, base, strict=True))
        print(f"{name:30} {statistics.median(spent):7.3f} us  x {ratio:5.1f}")


if __name__ == "__main__":
    main()
