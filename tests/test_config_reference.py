"""The committed example and reference are what the tables of options say, and the example is usable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config import load
from agent.config.options import OPTIONS, TABLES, Option
from agent.config.product_options import PRODUCT_OPTIONS
from agent.config_reference import example, reference
from agent.model import Kind

ROOT = Path(__file__).resolve().parents[1]
COMMENTED = re.compile(r"^#(\[[a-z.]+\]|([a-z_]+) = .+)$")
# What else must stand in a table for one option of it to be enough.
COMPANIONS = {
    "networks": {"ssid"},
    "api": {"url", "app_key"},
    "service": {"tls_certificate", "tls_key"},
}


def test_the_committed_files_are_the_generated_ones() -> None:
    hint = "run python -m agent.config_reference"
    assert (ROOT / "config" / "enrolld.toml").read_text("utf-8") == example(), hint
    assert (ROOT / "docs" / "configuration.md").read_text("utf-8") == reference(), hint


def test_the_example_loads_with_its_products() -> None:
    settings = load(ROOT / "config" / "enrolld.toml")
    assert settings.cloud.link == "embedded"
    assert {p.kind for p in settings.products.values()} == {Kind.SUB_DEVICE, Kind.DIRECT}


def test_every_option_stands_in_the_example_once() -> None:
    found = re.findall(r"^#?([a-z_]+) = ", example(), re.MULTILINE)
    assert found == [option.path[-1] for option in sorted(OPTIONS, key=table_order)]


def table_order(option: Option[object]) -> int:
    return [table.path for table in TABLES].index(option.path[:-1])


def uncomment(option: Option[object]) -> str:
    """The example with one option active, and with what its table needs."""
    header = next(table.header for table in TABLES if table.path == option.path[:-1])
    companions = next((names for name, names in COMPANIONS.items() if name in header), set())
    wanted = {option.path[-1]} | (companions if option.path[-1] != "ssid_hex" else set())
    lines, table = [], ""
    for line in example().splitlines():
        match = COMMENTED.match(line)
        if line.lstrip("#").startswith("["):
            table = line.lstrip("#")
        mine = match and table == header and (match[1] == header or match[2] in wanted)
        lines.append(line[1:] if mine else line)
    return "\n".join(lines)


@pytest.mark.parametrize("option", [o for o in OPTIONS if not o.active], ids=lambda o: ".".join(o.path))
def test_each_commented_option_loads_when_it_is_uncommented(option: Option[object], tmp_path: Path) -> None:
    text = uncomment(option)
    assert f"\n{option.path[-1]} = {option.shown}\n" in f"{text}\n"
    (tmp_path / "enrolld.toml").write_text(text, "utf-8")
    load(tmp_path / "enrolld.toml")


@pytest.mark.parametrize("option", [*OPTIONS, *PRODUCT_OPTIONS], ids=lambda o: ".".join(o.path))
def test_each_option_stands_in_the_reference(option: Option[object]) -> None:
    assert f"| `{option.path[-1]}` | {option.doc} | " in reference()


def test_every_key_of_a_product_stands_in_an_example_product_file() -> None:
    text = "\n".join(f.read_text("utf-8") for f in (ROOT / "config" / "products.d").glob("*.toml"))
    for option in PRODUCT_OPTIONS:
        assert re.search(rf"^#?{option.path[-1]} = ", text, re.MULTILINE), option.path
