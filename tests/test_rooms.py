"""Each module imports only from rooms above its own, and nothing heavy at the top of a live module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the top of the house down; modules of one line do not import each other.
ROOMS = [
    {"agent.model", "agent.errors"},
    {"agent.ports"},
    {"agent.codec"},
    {
        "agent.health",
        "agent.events",
        "agent.claim",
        "agent.clock",
        "agent.toml_lines",
        "agent.credentials",
        "agent.systemd",
        "agent.journal",
    },
    {"agent.config"},
    {"agent.config_reference", "agent.keys", "agent.ingress"},
    {"agent.entries"},
    {"agent.catalog", "agent.table", "agent.news"},
    {"agent.sightings"},
    {"agent.registry", "agent.permits", "agent.topology"},
    {"agent.reports", "agent.admission"},
    {"agent.tickets"},
    {"agent.tokens"},
    {"agent.records"},
    {"agent.store"},
    {"agent.service"},
    {"agent.cloud"},
    {"agent.gateway"},
    {"agent.jobs"},
    {"agent.status"},
    {"agent.assembly"},
    {"agent.reload", "agent.simulation", "agent.radios", "agent.checkup"},
    {"agent.daemon"},
    {"agent.cli"},
]
FOLDERS = {
    "agent.codec",
    "agent.config",
    "agent.service",
    "agent.cloud",
    "agent.gateway",
    "agent.jobs",
    "agent.status",
    "agent.cli",
    "agent.checkup",
}
HW_MAY = {"agent.model", "agent.errors", "agent.ports", "agent.codec"}
HW_USERS = {
    "agent.daemon",
    "agent.radios",
    "agent.simulation",
    "agent.cli.decode",
    "agent.cli.replay",
    "agent.cli.demo",
}
HEAVY = {"scapy", "aiohttp", "pyroute2", "cryptography", "bleak", "dbus_next", "aiocoap", "aiomqtt"}


def modules() -> dict[str, Path]:
    found = {}
    for top in ("agent", "hw"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    """Full names of what a file imports; ``from a import b`` counts as a.b when that is a module."""
    tree = ast.parse(path.read_text("utf-8"))
    names: set[str] = set()
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in MODULES else node.module)
    return names


def room(name: str) -> int:
    for number, line in enumerate(ROOMS):
        for entry in line:
            if name == entry or name.startswith(entry + "."):
                return number
    raise AssertionError(f"{name} stands in no room: give it a line in tests/test_rooms.py")


def folder(name: str) -> str | None:
    return next((f for f in FOLDERS if name == f or name.startswith(f + ".")), None)


def is_ours(name: str) -> bool:
    return name.split(".", 1)[0] in {"agent", "hw"}


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("agent.")])
def test_agent_imports_only_from_above(name: str) -> None:
    for target in imports(MODULES[name]):
        if not is_ours(target) or target == "agent":
            continue
        if target.split(".")[0] == "hw":
            assert name in HW_USERS, f"{name} imports {target}: only the daemon and offline commands use hw"
        elif folder(name) is None or folder(name) != folder(target):
            assert room(target) < room(name), f"{name} imports {target}, which is not above it"


@pytest.mark.parametrize("name", [n for n in MODULES if n.split(".")[0] == "hw"])
def test_hw_stands_beside_the_service(name: str) -> None:
    for target in imports(MODULES[name]):
        if target.startswith("agent."):
            allowed = HW_MAY | ({"agent.keys"} if name.startswith("hw.sim") else set())
            assert any(target == a or target.startswith(a + ".") for a in allowed), f"{name} imports {target}"


@pytest.mark.parametrize("where", sorted(FOLDERS | {"hw"}))
def test_no_circles_inside_a_folder(where: str) -> None:
    inside = {
        n: imports(p) & MODULES.keys() for n, p in MODULES.items() if n == where or n.startswith(where + ".")
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"import circle: {' -> '.join((*path, name))}"
        if name in done:
            return
        for target in inside[name]:
            if target in inside and target != name:
                visit(target, (*path, name))
        done.add(name)

    for name in inside:
        visit(name, ())


@pytest.mark.parametrize("name", MODULES)
def test_nothing_heavy_at_the_top_of_a_module(name: str) -> None:
    heavy = {target for target in imports(MODULES[name], top_only=True) if target.split(".")[0] in HEAVY}
    assert not heavy, f"{name} imports {heavy} when it is loaded"
