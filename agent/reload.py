"""SIGHUP: new settings into the running agent, or a clear no that changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from agent import config
from agent.assembly import Assembly
from agent.config import Settings
from agent.credentials import Credentials
from agent.errors import ConfigError, StoreError
from agent.gateway.facade import LEVELS
from agent.systemd import Notifier

log = logging.getLogger("enrolld")


class Reload:
    """Reads the configuration again when asked to."""

    def __init__(
        self, agent: Assembly, path: Path, notifier: Notifier, read_secrets: Callable[[Settings], Credentials]
    ) -> None:
        self._agent = agent
        self._path = path
        self._notifier = notifier
        self._read_secrets = read_secrets
        self.asked = asyncio.Event()

    async def run(self) -> None:
        """Reload each time that ``asked`` is set, until cancelled."""
        while True:
            await self.asked.wait()
            self.asked.clear()
            self._notifier.reloading()
            await self._reload()
            self._notifier.ready()

    async def _reload(self) -> None:
        agent = self._agent
        try:
            new, secrets = await asyncio.get_running_loop().run_in_executor(None, self._read)
        except ConfigError as error:
            log.warning("the new settings are refused, the old ones stay: %s", error)
            agent.health.set("settings_refused", f"the new settings are refused, the old ones stay: {error}")
            agent.events.emit("settings_refused", sentence=str(error))
            return
        agent.health.clear("settings_refused")
        changed = config.differences(agent.current.settings, new)
        later = [key for key in changed if config.needs_restart(key)]
        later += [f"credential {name}" for name in agent.credentials.differences(secrets)]
        agent.current.adopt(new)
        await self._apply(changed)
        if later:
            agent.health.set(
                "restart_needed", f"changed, but in force only after a restart: {', '.join(later)}"
            )
        else:
            agent.health.clear("restart_needed")
        agent.events.emit("settings_reloaded", changed=changed, after_restart=later)

    def _read(self) -> tuple[Settings, Credentials]:
        settings = config.load(self._path)
        return settings, self._read_secrets(settings)

    async def _apply(self, changed: list[str]) -> None:
        agent = self._agent
        settings = agent.current.settings
        logging.getLogger("enrolld").setLevel(LEVELS[settings.log.level])
        if any(key.startswith("products") for key in changed):
            agent.registry.set_products(settings.products)
        if agent.service is not None:
            agent.service.configure(agent.current.service())
        if "permits.ceiling" in changed:
            try:
                await agent.door.cut()
            except StoreError as error:
                # The windows on the disk are cut at the next start; no new one escapes the ceiling.
                log.warning("open windows could not be cut to the new ceiling: %s", error)
