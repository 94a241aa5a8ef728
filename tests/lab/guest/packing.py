"""The installed machine as one archive: what the disk held when the power went, for the next boot."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.guest.machine import get, pid, sh
from tests.lab.guest.survives import accept

OUT = Path("/lab/out")
ARCHIVE = OUT / "machine.tar"
TOLD = OUT / "before.json"
PLACES = (
    "opt/enrolld usr/local/bin usr/local/lib/systemd usr/local/lib/sysusers.d usr/local/lib/tmpfiles.d "
    "etc/enrolld etc/systemd/system var/lib/enrolld"
)
LEFT_OUT = "--exclude=site-packages/scapy --exclude=site-packages/pip --exclude=site-packages/setuptools"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def pack() -> None:
    """Take the disk as it is while the service runs, as a power cut would find it."""
    accept()
    documents = {name: get(f"/v1/{name}") for name in ("permits", "subdevices", "tokens")}
    TOLD.write_text(json.dumps({**documents, "boot_id": BOOT_ID.read_text()}), "utf-8")
    sh(f"kill -STOP {pid()} && sync && tar -C / {LEFT_OUT} -cf {ARCHIVE} {PLACES}", limit=200)
    sh(f"kill -KILL {pid()}")


def unpack() -> None:
    """Put it all back on a fresh disk, and let systemd see it."""
    sh(f"tar -C / -xf {ARCHIVE}", limit=200)
    sh("systemd-sysusers && systemd-tmpfiles --create enrolld.conf && systemctl daemon-reload")
