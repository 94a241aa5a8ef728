"""What is wrong with this installation and how to mend it: files, rights, units, radios; needs no daemon."""

from __future__ import annotations

from agent import config
from agent.checkup.files import (
    examine_people,
    examine_readable,
    examine_secrets,
    examine_sockets,
    examine_state,
)
from agent.checkup.findings import Finding, Findings, Machine, Severity, good, problem
from agent.checkup.machine import examine_radios, examine_units
from agent.config import Settings
from agent.errors import ConfigError

__all__ = ["Finding", "Machine", "Severity", "examine"]


def examine(machine: Machine) -> Findings:
    """Everything that can be looked at, in the order in which it would be mended."""
    settings: Settings | None = None
    try:
        settings = config.load(machine.config)
    except ConfigError as error:
        for line in str(error).splitlines():
            yield problem("configuration", line, f"edit {machine.config}, then enrolld --check-config")
    else:
        count = len(settings.products)
        yield good("configuration", f"{machine.config} is good, {count} products")
        if count == 0:
            yield Finding(
                "configuration",
                Severity.NOTE,
                "no product may come in",
                f"add files to {machine.config.parent}/products.d",
            )
    yield from examine_readable(machine.config)
    yield from examine_secrets(machine, settings)
    yield from examine_people()
    yield from examine_state(machine.state)
    yield from examine_sockets(machine.run)
    yield from examine_units(machine.systemctl)
    if settings is not None:
        yield from examine_radios(machine, settings)
