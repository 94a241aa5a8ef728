"""``enrollctl demo``: the real daemon in a simulated home, told as it happens, judged at the end."""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from agent.cli import client
from agent.cli.exits import DONE, NO, CommandFailed
from agent.cli.narration import Event, tell
from agent.cli.options import Commands
from agent.cli.table import align, printable, titled
from agent.status.sockets import Right

PATIENCE = 40.0  # seconds for a story of 17: a slow machine has time, a broken one does not hang
STARTS_WITHIN = 15.0
STOPS_WITHIN = 2.0

Pattern = tuple[str, dict[str, object]]


@dataclass(slots=True)
class Step:
    """One thing that the demo promises: the events that show it, in any order."""

    name: str
    waits_for: list[Pattern]
    done_at: float | None = None
    seen: list[str] = field(default_factory=list)

    def take(self, event: Event, at: float) -> None:
        """Look whether this is one of the events that are waited for."""
        pattern = next((pattern for pattern in self.waits_for if _matches(pattern, event)), None)
        if pattern is not None:
            self.seen.append(event["kind"])
            self.waits_for.remove(pattern)
            if not self.waits_for:
                self.done_at = at


def story() -> list[Step]:
    """What happens in the packaged home, as promised."""
    gateway, plug = "a1DemoGate1/gateway-01", "a1DemoPlug1/plug-01"
    lock, camera = "a1DemoLock1/lock-01", "a1DemoCam01/camera-01"
    return [
        Step("the daemon starts", [("radio_opened", {}), ("radio_opened", {}), ("daemon_started", {})]),
        Step("it hears the home", [("enrollee_found", {})] * 9),
        Step("its owner binds the gateway", [_did("bind", gateway), ("gateway_bound", {})]),
        Step("discovered devices are listed", [("enrollee_reported", {}), ("user_acted", {"did": "list"})]),
        Step("a closed window refuses", [("join_refused", {"device": plug, "reason": "window_closed"})]),
        Step("a permit opens a window", [("permit_opened", {"product_key": "a1DemoPlug1"})]),
        Step(
            "a sub-device joins",
            [("join_admitted", {"device": plug}), ("subdevice_online", {"device": plug})],
        ),
        Step("its token is reported, checked, bound", _binding("token_reported", plug)),
        Step("another product stays out", [("join_refused", {"device": lock})]),
        Step(
            "a Wi-Fi device starts by command",
            [("join_admitted", {"device": camera, "reason": "start_command"})],
        ),
        Step("it reports its token, and is bound", _binding("home_token_reported", camera)),
        Step("the window closes by itself", [("permit_closed", {"reason": "expired"})]),
        Step("who comes late is refused", [("join_refused", {"device": "a1DemoPlug1/plug-02"})]),
        Step("all went as the script has it", [("home_ended", {"surprises": 0})]),
    ]


def add(commands: Commands) -> None:
    """Register the command."""
    does = "the real daemon in a simulated home: the main job in 20 seconds"
    parser = commands.add_parser("demo", help=does, description=does)
    parser.add_argument("--keep-running", action="store_true", help="go on until interrupted")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play the demo; 1 when a step failed."""
    # Terminated, it still stops its daemon and takes the secrets that it made off the disk.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="enrolld-") as name:
        place = Place(Path(name))
        place.furnish(endless=args.keep_running)
        return _keep(place) if args.keep_running else _play(place)


class Place:
    """A directory of its own for the demo: configuration, fresh secrets, state and sockets."""

    def __init__(self, root: Path) -> None:
        self.run = root / "run"
        self.log = root / "enrolld.log"
        self._root = root
        self._config = root / "etc"

    def furnish(self, *, endless: bool) -> None:
        """Copy the packaged home and make new secrets for its devices; nothing secret ships."""
        from hw.sim import scenario

        packaged = Path(str(resources.files("hw.sim") / "data"))
        shutil.copytree(packaged, self._config)
        file = self._config / "scenario.toml"
        if endless:
            text = file.read_text("utf-8")
            file.write_text(re.sub(r"(?m)^length = .*\n", "", text), "utf-8")
        secrets = self._config / "secrets"
        secrets.mkdir(mode=0o700)
        made = scenario.credentials(scenario.load(file))
        for name, secret in {**made, "passphrase.home": scenario.random_text(16)}.items():
            file = secrets / name
            file.touch(0o600)
            file.write_text(f"{secret}\n", "ascii")
        drop_in = self._config / "enrolld.toml.d"
        drop_in.mkdir()
        (drop_in / "secrets.toml").write_text('[secrets]\ndirectory = "secrets"\n', "utf-8")

    @contextlib.contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """The real daemon as a process of its own, in this place."""
        scenario, state = self._config / "scenario.toml", self._root / "state"
        command = [sys.executable, "-m", "agent.daemon", "--config", str(self._config / "enrolld.toml")]
        command += ["--state", str(state), "--run", str(self.run), "--simulate", str(scenario)]
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
            try:
                yield process
            finally:
                process.kill()
                process.wait()


def _play(place: Place) -> int:
    print("A simulated home of 4 access points, 10 devices and their neighbours; a real daemon beside it,")
    print("with real frames on its radios and the provisioning service embedded. About 20 seconds.\n")
    began = time.monotonic()
    steps = story()
    with place.daemon() as process:
        _wait_for_sockets(place, process)
        watchdog = threading.Timer(PATIENCE, process.terminate)
        watchdog.start()
        try:
            _listen(place, steps, began)
        except CommandFailed as error:
            print(f"\nthe daemon went away: {error}")
        finally:
            watchdog.cancel()
        if all(step.done_at is not None for step in steps):
            _show_result(place)
        steps.append(_stop(process, began))
    return _judge(steps, place)


def _listen(place: Place, steps: list[Step], began: float) -> None:
    """Tell each event and tick off the steps, until the home ends or the daemon does."""
    listed = False
    for event in client.follow(place.run, "/v1/events?follow=1&after=0"):
        at = time.monotonic() - began
        if "kind" not in event:
            continue
        told = tell(event)
        if told is not None:
            _say(at, *told)
        if event["kind"] == "join_refused":
            _explain(place, str(event["device"]))
        for step in steps:
            if step.done_at is None:
                step.take(event, at)
        if not listed and steps[1].done_at is not None:
            listed = True
            _show_enrollees(place)
        if event["kind"] == "home_ended":
            return


def _say(at: float, who: str, what: str) -> None:
    print(f"{at:5.1f} s  {who:8} {printable(what)}", flush=True)


def _explain(place: Place, device: str) -> None:
    """What ``enrollctl why`` says of a refusal."""
    why = client.read(place.run, f"/v1/why/{client.segment(device)}")
    for fact in why["facts"]:
        if fact["name"] in ("product", "kind", "right"):
            print(f"{'':17} why: {printable(fact['sentence'])}")


def _show_enrollees(place: Place) -> None:
    document = client.read(place.run, "/v1/enrollees")
    rows = [
        [row["id"], row["product_name"] or "-", row["class"], f"{row['rssi']}", _kind(row)]
        for row in document["enrollees"]
    ]
    print()
    for line in titled(["enrollee", "product", "class", "dBm", "kind"], rows, "nothing is heard"):
        print(f"    {line}")
    names = ", ".join(
        f"{p['ssid'] or '(hidden)'} ch {p['channel']} {p['security']}" for p in document["access_points"]
    )
    print(f"    access points: {printable(names)}")
    url = client.read(place.run, "/v1/status")["link"]["api"]
    print(f"    the user's app calls the provisioning service at {url}\n")


def _kind(row: dict[str, Any]) -> str:
    if row["kind"] == "wifi":
        return "zero-config Wi-Fi"
    return f"BLE {row['generation']}" + (", wants Wi-Fi" if row["wants_wifi"] else "")


def _show_result(place: Place) -> None:
    document = client.read(place.run, "/v1/subdevices")
    rows = [
        [row["id"], row["state"], "yes" if row["bound"] else "no", row["medium"]]
        for row in document["subdevices"]
    ]
    print()
    for line in titled(["sub-device", "state", "bound", "by"], rows, "no sub-device"):
        print(f"    {line}")


def _wait_for_sockets(place: Place, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(CommandFailed):
            client.connect(place.run, [Right.READ]).close()
            return
        time.sleep(0.05)
    raise CommandFailed(
        NO, f"step 1, the daemon starts: it does not answer.\n{place.log.read_text('utf-8', 'replace')}"
    )


def _stop(process: subprocess.Popen[bytes], began: float) -> Step:
    step = Step("SIGTERM ends the daemon within 2 s", [("exit status 0", {})])
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        status = process.wait(STOPS_WITHIN)
        step.take({"kind": f"exit status {status}"}, time.monotonic() - began)
    return step


def _judge(steps: list[Step], place: Place) -> int:
    print()
    rows = [
        [
            "-" if step.done_at is None else f"{step.done_at:.1f} s",
            "FAILED" if step.done_at is None else "ok",
            step.name,
        ]
        for step in steps
    ]
    for number, line in enumerate(align(rows), 1):
        print(f"{number:3}  {line}")
    failed = [(n, step) for n, step in enumerate(steps, 1) if step.done_at is None]
    if not failed:
        print(
            f"\n{len(steps)} of {len(steps)} steps are done. Next: make run, then look around with enrollctl."
        )
        return DONE
    number, step = failed[0]
    kind, fields = step.waits_for[0]
    print(f"\nstep {number} failed, {step.name}: waited for {kind} {fields or ''}")
    print(f"seen of it before: {', '.join(step.seen) or 'nothing'}; the daemon's log:")
    print(place.log.read_text("utf-8", "replace")[-4000:])
    return NO


def _keep(place: Place) -> int:
    print("The simulated home goes on until Ctrl-C. Look around from another terminal:")
    print(f"  enrollctl status --run {place.run}\n")
    began = time.monotonic()
    with place.daemon() as process:
        _wait_for_sockets(place, process)
        with contextlib.suppress(KeyboardInterrupt, CommandFailed):
            for event in client.follow(place.run, "/v1/events?follow=1&after=0"):
                told = tell(event) if "kind" in event else None
                if told is not None:
                    _say(time.monotonic() - began, *told)
        process.send_signal(signal.SIGTERM)
        status = process.wait(STOPS_WITHIN)
    return DONE if status == 0 else NO


def _matches(pattern: Pattern, event: Event) -> bool:
    kind, fields = pattern
    return event["kind"] == kind and all(event.get(name) == value for name, value in fields.items())


def _did(did: str, device: str) -> Pattern:
    return "user_acted", {"did": did, "device": device}


def _binding(reported: str, device: str) -> list[Pattern]:
    return [(reported, {"device": device}), _did("check", device), _did("bind", device)]
