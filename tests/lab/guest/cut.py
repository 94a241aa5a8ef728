"""The end of the first boot: the power goes while the service runs."""

from __future__ import annotations

from tests.lab.guest.packing import ARCHIVE, pack
from tests.lab.guest.steps import Script

script = Script("cut")


@script.shows("the disk is kept as a power cut would leave it")
def cut() -> str:
    pack()
    return f"{ARCHIVE.stat().st_size // 2**20} MiB"
