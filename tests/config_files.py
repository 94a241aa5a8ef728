"""Writes configuration files for a test, and reads back what `load` says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load
from agent.errors import ConfigError

MINIMAL = """\
[gateway]
product_key = "a1Bdn3wGate"
device_name = "hall-gateway"
[cloud]
link = "embedded"
"""
BULB = 'product_key = "a1Bdn3wBulb"\nnet_type = 5\nproduct_ids = ["0x000aa7ab"]\n'


class Files:
    """Files by name under one directory; the main file is minimal unless given."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, files: dict[str, str] | None = None, main: str | bytes = MINIMAL) -> Path:
        path = self.directory / "enrolld.toml"
        path.write_bytes(main if isinstance(main, bytes) else main.encode())
        for name, text in (files or {}).items():
            (self.directory / name).parent.mkdir(exist_ok=True)
            (self.directory / name).write_text(text, "utf-8")
        return path


def problems(path: Path) -> list[str]:
    """What load says, with names of files as seen from the directory of the main file."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


def only(path: Path) -> str:
    """The one thing that load says."""
    told = problems(path)
    assert len(told) == 1, told
    return told[0]
