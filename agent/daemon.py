"""``enrolld``: reads its settings, opens what it needs, and runs every job in one task group."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from agent import config, credentials, journal
from agent.assembly import Assembly, Current, Probes
from agent.claim import claim
from agent.clock import SystemClock
from agent.config import Settings
from agent.credentials import Credentials
from agent.errors import AgentError, ConfigError
from agent.gateway.facade import LEVELS
from agent.jobs.front import run_front
from agent.jobs.keeping import Retry, keep_running, recovered
from agent.jobs.logbook import Logbook
from agent.jobs.radios import Listen, RadioJob
from agent.jobs.uplink import Uplink
from agent.jobs.watchdog import Watchdog
from agent.ports import Clock
from agent.radios import make_ble, make_wifi
from agent.reload import Reload
from agent.status.server import SocketServer
from agent.status.sockets import RUN, Listener, Right, adopt, bind_all
from agent.systemd import Notifier, take_sockets

CONFIG = Path("/etc/enrolld/enrolld.toml")
STATE = Path("/var/lib/enrolld")
MISCONFIGURED = 78
FAILED = 1
VERDICT_WITHIN = 5.0

log = logging.getLogger("enrolld")


@dataclass(frozen=True, slots=True)
class Orders:
    """What the command line and the environment say."""

    config: Path = CONFIG
    state: Path = STATE
    run: Path = RUN
    simulate: bool = False
    scenario: Path | None = None
    strict: bool = False
    probes: Probes = field(default_factory=Probes)
    logins_per_minute: int | None = None
    notifier: Notifier = field(default_factory=lambda: Notifier({}))
    handed: Mapping[str, socket.socket] = field(default_factory=dict)


class Daemon:
    """One run of the agent, from open sockets to closed files."""

    def __init__(self, orders: Orders, settings: Settings, known: Credentials, clock: Clock) -> None:
        self._orders = orders
        self._clock = clock
        current = Current(settings)
        if orders.logins_per_minute is not None:
            current.logins_per_minute = orders.logins_per_minute
        self.agent = Assembly(current, known, orders.state, clock, orders.probes)
        self.agent.add_jobs(strict=orders.strict)
        self.reload = Reload(self.agent, orders.config, orders.notifier, load_credentials)
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self._simulation = _simulation(orders)
        self._listeners: list[Listener] = []
        self._logbook = Logbook(self.agent.events)

    async def run(self) -> None:
        """Run until `stopping` is set; a bug in any job, or in a callback, comes out as its exception."""
        asyncio.get_running_loop().set_exception_handler(self._fail)
        self._listeners = adopt(self._orders.handed) or bind_all(self._orders.run)
        try:
            self._miss_sockets()
            await self.agent.housekeeping.open_store()
            self._add_radios()
            await self._run_jobs()
        finally:
            for listener in self._listeners:
                listener.close()
            await self.agent.close()
        if self.failure is not None:
            raise self.failure

    async def _run_jobs(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job, name=name) for name, job in self._jobs().items()]
            tasks.append(group.create_task(self._get_ready(), name="ready"))
            await self.stopping.wait()
            self._orders.notifier.stopping()
            self.agent.events.emit("daemon_stopping")
            self._logbook.write()
            for task in tasks:
                task.cancel()

    async def _get_ready(self) -> None:
        await self._wait_for_radios()
        self.agent.events.emit("daemon_started", version=metadata.version("enrolld"))
        log.info("ready: %d radios, sockets in %s", len(self.agent.radios), self._orders.run)
        self._orders.notifier.ready()

    def _miss_sockets(self) -> None:
        """A socket unit that failed is a trouble of its own; the daemon serves the others."""
        for right in set(Right) - {listener.right for listener in self._listeners}:
            self.agent.health.set(
                "socket_missing",
                f"{right.value} was not handed over: its socket unit has failed or is not started; "
                "`systemctl status 'enrolld*.socket'` says why",
                subject=right.value,
                severity="error",
            )

    def _jobs(self) -> dict[str, Coroutine[Any, Any, object]]:
        agent = self.agent
        server = SocketServer(agent.gateway, agent.ingress, self._clock, self._listeners)
        watchdog = Watchdog(self._orders.notifier, agent.health, self._clock, agent.radios)
        return {
            "sockets": server.serve(),
            "housekeeping": agent.housekeeping.run(),
            "reload": self.reload.run(),
            "logbook": self._logbook.run(),
            "watchdog": watchdog.run(),
            "sweep": agent.discovery.run_sweep(),
            "cloud": self._run_cloud(),
            **{radio.subject: radio.run() for radio in agent.radios},
        }

    async def _run_cloud(self) -> None:
        """The embedded service, the link to it, the reports, and the simulated home when there is one."""
        agent, retry = self.agent, Retry()

        async def open_service() -> None:
            await agent.open_service()
            recovered("service", retry, agent.health)

        await keep_running("service", open_service, retry, health=agent.health, clock=self._clock)
        if agent.service is None:
            raise AssertionError("an opened service is there")
        uplink = agent.make_uplink(agent.service)
        async with asyncio.TaskGroup() as group:
            group.create_task(uplink.run(), name="uplink")
            group.create_task(self._run_reports(uplink), name="reports")
            front = agent.make_front(agent.service)
            if front is not None:
                api = run_front(front, agent.service, agent.health, self._clock)
                group.create_task(api, name="http api")
            if self._simulation is not None:
                home = self._simulation.furnish(agent, agent.service)
                group.create_task(home.run(), name="simulated home")

    async def _run_reports(self, uplink: Uplink) -> None:
        await uplink.reached.wait()  # a report that fails waits 10 s for its next try
        agent = self.agent
        await agent.discovery.run_reports(agent.link, agent.current.settings.gateway, agent.network)

    def _add_radios(self) -> None:
        settings = self.agent.current.settings
        for name in settings.ble.radios:
            self._add_radio("ble", name)
        for name in settings.wifi.radios:
            self._add_radio("wifi", name)

    def _add_radio(self, kind: str, name: str) -> None:
        discovery = self.agent.discovery
        full = f"{kind} {name}"
        if kind == "ble":
            listen: Listen = partial(
                make_ble(name, self._clock, self._air).listen, discovery.advert_heard(full)
            )
        else:
            listen = partial(make_wifi(name, self._clock, self._air).listen, discovery.station_heard(full))
        job = RadioJob(
            name,
            kind,
            listen,
            discovery.radios[full],
            clock=self._clock,
            health=self.agent.health,
            log=self.agent.events,
        )
        self.agent.radios.append(job)

    def _air(self) -> Any:
        if self._simulation is None:
            from hw.sim.air import Air

            self.agent.health.set(
                "simulated_silence", "a simulated radio hears nothing without --simulate", severity="warning"
            )
            return Air()
        return self._simulation.air

    async def _wait_for_radios(self) -> None:
        """Ready means that each radio listens or has a named trouble (DESIGN 4)."""
        try:
            async with asyncio.timeout(VERDICT_WITHIN):
                for radio in self.agent.radios:
                    await radio.verdict.wait()
        except TimeoutError:
            log.warning("a radio has no verdict after %.0f s; going on", VERDICT_WITHIN)

    def _fail(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback outside every job failed: a bug, which ends the process as it would in a job."""
        loop.default_exception_handler(context)
        error = context.get("exception")
        self.failure = (
            error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))
        )
        self.stopping.set()


def _simulation(orders: Orders) -> Any:
    if not orders.simulate:
        return None
    from agent.simulation import Simulation

    return Simulation(orders.scenario, orders.run)


def load_credentials(settings: Settings) -> Credentials:
    """The secrets that systemd hands over, and those of the configured directory."""
    systemd = os.environ.get("CREDENTIALS_DIRECTORY")
    return credentials.load(settings.secrets.directory, systemd=Path(systemd) if systemd else None)


def check_config(orders: Orders) -> int:
    """Say what is wrong with the configuration, or that nothing is."""
    settings = config.load(orders.config)
    installed = orders.config.parent / "secrets"  # what the unit hands over, when nothing else is said
    if (
        settings.secrets.directory is None
        and "CREDENTIALS_DIRECTORY" not in os.environ
        and installed.is_dir()
    ):
        known = credentials.load(installed, systemd=None)
    else:
        known = load_credentials(settings)
    for problem in (*known.problems(), *config.missing_secrets(settings, known)):
        print(f"warning: {problem}")
    check_link(settings)
    if orders.simulate:
        _simulation(orders)
    print(f"{orders.config}: good, {len(settings.products)} products")
    return 0


def check_link(settings: Settings) -> None:
    """ConfigError for a link that this version does not have."""
    if settings.cloud.link != "embedded":
        raise ConfigError('cloud.link: this version has the link "embedded" only; "mqtt" is not built yet')


def serve(orders: Orders) -> int:
    """Run the daemon; 0 when it was told to stop."""
    settings = config.load(orders.config)
    check_link(settings)
    logging.basicConfig(handlers=[journal.make_handler(os.environ, sys.stderr)])
    log.setLevel(LEVELS[settings.log.level])
    known = load_credentials(settings)

    async def main() -> None:
        given = replace(orders, notifier=Notifier(os.environ), handed=take_sockets(os.environ))
        daemon = Daemon(given, settings, known, SystemClock())
        for problem in (*known.problems(), *config.missing_secrets(settings, known)):
            daemon.agent.health.set("credential_problem", problem, subject=problem)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stopping.set)
        loop.add_signal_handler(signal.SIGHUP, daemon.reload.asked.set)
        await daemon.run()

    with claim(orders.state):
        asyncio.run(main())
    return 0


def read_orders(argv: list[str]) -> tuple[Orders, bool]:
    """The command line, and whether only the configuration is to be checked."""
    parser = argparse.ArgumentParser(
        prog="enrolld", description="Finds, provisions and admits devices of Alibaba Cloud IoT at a gateway."
    )
    state = Path(os.environ.get("STATE_DIRECTORY") or STATE)
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--state", type=Path, default=state, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--run", type=Path, default=RUN, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--check-config", action="store_true", help="check the configuration and end")
    parser.add_argument(
        "--simulate",
        nargs="?",
        type=Path,
        const=None,
        default=False,
        metavar="SCENARIO.toml",
        help="live in a simulated home, the packaged one unless a scenario is given",
    )
    parser.add_argument("--version", action="version", version=f"enrolld {metadata.version('enrolld')}")
    given = parser.parse_args(argv)
    orders = Orders(
        config=given.config,
        state=given.state,
        run=given.run,
        simulate=given.simulate is not False,
        scenario=given.simulate or None,
        strict=os.environ.get("ENROLLD_STRICT") == "1",
    )
    return orders, given.check_config


def main(argv: list[str] | None = None) -> int:
    """The ``enrolld`` command; exit status 78 for what the operator must mend."""
    orders, only_check = read_orders(sys.argv[1:] if argv is None else argv)
    try:
        return check_config(orders) if only_check else serve(orders)
    except ConfigError as error:
        print(f"enrolld: {error}", file=sys.stderr)
        return MISCONFIGURED
    except AgentError as error:
        print(f"enrolld: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
