"""``--simulate``: a home on an air of its own; its devices and its person use the agent's real doors."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from agent import tokens
from agent.assembly import Assembly
from agent.cloud.api import ApiClient
from agent.cloud.api_line import Installer, Route
from agent.jobs.user import ScriptedUser
from agent.jobs.user_calls import Calls, InProcess, OverHttp
from agent.model import DeviceId
from agent.service.service import Service
from agent.service.uplink import EmbeddedUplink
from agent.service.values import Caller
from agent.status.sockets import Right, socket_path
from hw.sim import scenario
from hw.sim.air import Air
from hw.sim.home import Home
from hw.sim.plans import UserStep


class Simulation:
    """One scenario beside one agent; ``air`` is what the simulated radios listen to."""

    def __init__(self, path: Path | None, run: Path) -> None:
        self.scenario = scenario.load(path or packaged_scenario())
        self.air = Air()
        self._run = run
        self._home: Home | None = None

    def furnish(self, agent: Assembly, service: Service) -> Home:
        """The home with its devices and the person in it."""
        user = ScriptedUser(
            service,
            agent.current.settings.gateway,
            agent.ledger,
            agent.events,
            agent.clock,
            lambda device: self._token_of(agent, device),
            lambda caller, auth_code: _connect(agent, service, caller, auth_code),
        )

        async def act(step: UserStep) -> None:
            device = None if step.device is None else scenario.device_id(step.device)
            await user.act(step.do, product_key=step.product_key, device=device, time=step.time)

        self._home = Home(
            self.scenario,
            self.air,
            agent.clock,
            secret=agent.credentials.get,
            join_socket=socket_path(self._run, Right.JOIN),
            happened=agent.events.emit,
            uplink=EmbeddedUplink(service),
            user=act,
        )
        return self._home

    def _token_of(self, agent: Assembly, device: DeviceId) -> bytes | None:
        """What a phone beside the device would be told; our own tokens once they were reported."""
        reported = [
            token.value
            for token in agent.ledger.tokens.values()
            if token.device == device and token.state is tokens.State.REPORTED
        ]
        if reported:
            return reported[-1]
        return self._home.overhear_token(device) if self._home else None


async def _connect(agent: Assembly, service: Service, caller: Caller, auth_code: str) -> Calls:
    """The person's app: over HTTP where the service speaks it, else in this process."""
    front = agent.front
    if front is None:
        return InProcess(service, caller)
    await front.listening.wait()
    route = Route(str(front.url), ca_file=agent.current.settings.service.tls_certificate)
    installer = Installer(service.app.key, service.app.secret, auth_code, home_id=caller.home)
    return OverHttp(ApiClient(route, installer, agent.clock))


def packaged_scenario() -> Path:
    """The home that ships with the program."""
    return Path(str(resources.files("hw.sim") / "data" / "scenario.toml"))
