"""No secret gets out: a whole story is lived through, then everything that was ever said is searched."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import io
import logging
import sqlite3
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from agent.gateway.login import Proof, login_params, topo_add_params
from agent.model import DeviceId, Generation
from hw.sim.signing import Identity, sign_login
from tests.jumping import run_jumping
from tests.world import (
    CAMERA,
    LOCK,
    OTHER_PLUG,
    PLUG,
    STORY,
    Site,
    World,
    asking,
    running,
)

DOCUMENTS = ("status", "enrollees", "permits", "subdevices", "tokens", "adapters", "health")
BROUGHT = "b7f8e6d5c4b3a29180716253445f6e7d"  # the token of a join
FRIENDLY = DeviceId("a1DemoPlug1", "plug-77")  # the cloud makes its secret
SIGNER = DeviceId("a1DemoLock1", "lock-77")  # signs its login itself
SHORTEST = 8  # octets: shorter ones would be found by chance


def forms(secret: str | bytes) -> set[bytes]:
    """How a secret may look: itself, hex of either case, and as JSON, URLs or base64 write it."""
    data = secret.encode() if isinstance(secret, str) else secret
    with contextlib.suppress(ValueError, UnicodeDecodeError):
        data = bytes.fromhex(data.decode("ascii"))
    texts = {data, data.hex().encode(), data.hex().upper().encode(), data.hex(":").upper().encode()}
    texts |= {repr(data).encode()[2:-1], base64.b64encode(data).rstrip(b"="), quote(data).encode()}
    if isinstance(secret, str):
        texts |= {secret.encode(), secret.lower().encode(), secret.upper().encode()}
    return texts


def leaks(secrets: Mapping[str, str | bytes], said: Mapping[str, str]) -> list[str]:
    """Where which secret is found: names only."""
    found = []
    for where, text in said.items():
        data = text.encode("utf-8", "surrogateescape")
        for name, secret in secrets.items():
            assert len(secret) >= SHORTEST, name
            if any(form in data for form in forms(secret)):
                found.append(f"{name} in {where}")
    return found


@dataclass
class Said:
    """Everything that came out of a daemon, by where it came out; and all that must not be in it."""

    by: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str | bytes] = field(default_factory=dict)


@contextlib.contextmanager
def listening_to_the_log() -> Iterator[io.StringIO]:
    """All that is logged at level debug, with tracebacks."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    levels = {logger: logger.level for logger in (root, logging.getLogger("enrolld"))}
    root.addHandler(handler)
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        for logger, level in levels.items():
            logger.setLevel(level)


async def look_around(world: World, said: Said, when: str) -> None:
    """Read every document, and every object of ours that is alive."""
    for name in DOCUMENTS:
        said.by[f"{name} {when}"] = (await world.admin.fetch("GET", f"/v1/{name}"))[1]
    for name in ("/metrics", "/v1/events"):
        said.by[f"{name} {when}"] = (await world.read.fetch("GET", name))[1]
    for device in (PLUG, OTHER_PLUG, FRIENDLY, SIGNER, CAMERA, LOCK):
        said.by[f"why {device} {when}"] = (await world.read.fetch("GET", f"/v1/why/{device}"))[1]
    said.by[f"repr of what lives {when}"] = "\n".join(
        repr(thing)
        for thing in gc.get_objects()
        if str(type(thing).__module__).partition(".")[0] in {"agent", "hw"} and not isinstance(thing, type)
    )


async def be_refused(world: World, said: Said, tickets: list[str]) -> None:
    """Ask wrongly, with a secret in each question, and keep what is answered."""
    passphrase, token = world.site.secrets["passphrase.home"], BROUGHT
    questions: list[tuple[str, str, object]] = [
        ("POST", "/v1/provision", {"enrollee": "nobody", "passphrase": passphrase}),
        ("POST", "/v1/provision", {"enrollee": "camera-01", "passphrase": passphrase}),
        ("POST", "/v1/provision", {"enrollee": "camera-01", "passphrase": [passphrase]}),
        ("POST", "/v1/provision", {"enrollee": 7, "passphrase": passphrase}),
        ("POST", "/v1/provision", '{"enrollee": "camera-01", "passphrase": "' + passphrase),
        ("POST", "/v1/permits", {"product_key": "a1DemoPlug1", "time": passphrase}),
        ("PUT", "/v1/loglevel", {"level": passphrase}),
        *(("POST", f"{ticket}/done", {"v": 1, "sign_params": None}) for ticket in tickets),
        *(("POST", f"{ticket}/done", {"v": 1, "token": token + "00"}) for ticket in tickets),
        *(("POST", f"{ticket}/done", {"v": 1, "token": [token]}) for ticket in tickets),
        *(("POST", f"{ticket}/done", {"v": 1, "sign_params": {"clientId": token}}) for ticket in tickets),
        *(("GET", f"{ticket}x", None) for ticket in tickets),
    ]
    for number, (method, target, body) in enumerate(questions):
        client = world.joins if "/joins/" in target else world.admin
        status, answer = await client.fetch(method, target, body)
        assert 400 <= status < 500, (status, answer)
        said.by[f"refusal {number}"] = answer


async def live_through(world: World, said: Said) -> list[str]:
    """What the packaged story does, and joins of every kind beside it; the tickets."""
    await world.until(lambda: world.told("home_ended"))
    await world.permit(None, 0)
    devices = (OTHER_PLUG, FRIENDLY, SIGNER, DeviceId("a1DemoPlug1", "plug-void"))
    places = [await world.ticket(d, address=f"00:00:00:00:00:0{n}") for n, d in enumerate(devices)]
    assert (await world.finish(places[0], token=BROUGHT))[0] == 202
    assert (await world.finish(places[1]))[0] == 202
    secret = world.site.secrets["product_secret.a1DemoLock1"]
    params = sign_login(Identity(SIGNER, 0x3C045, secret), Generation.B1, b"", keyed="product")
    said.secrets["the sign that the device made"] = params["sign"]
    assert (await world.finish(places[2], sign_params=params))[0] == 202
    for device in (OTHER_PLUG, FRIENDLY, SIGNER):
        await world.until(partial(world.told, "token_reported", device=str(device)))
    await look_around(world, said, "amid")
    said.secrets |= {f"{name} amid": secret for name, secret in read_files(world.site)}
    await world.permit(None, 65535)
    assert (await world.admin.ask("DELETE", f"/v1/subdevices/{OTHER_PLUG}"))[0] == 200
    await world.until(lambda: world.told("subdevice_removed"))
    await world.service.manage(FRIENDLY, "delete")
    await world.clock.sleep(100)
    return places


def read_files(site: Site) -> Iterator[tuple[str, str | bytes]]:
    """What the two files of the state directory hold that nobody else may see."""
    columns = {"token", "value", "refresh", "id"}
    for path in sorted(site.state.glob("*.db")):
        with contextlib.closing(sqlite3.connect(path)) as db:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                cursor = db.execute(f"SELECT * FROM {table}")  # noqa: S608  names out of the file itself
                names = [column[0] for column in cursor.description]
                for number, row in enumerate(cursor):
                    for name, value in zip(names, row, strict=True):
                        is_secret = name in columns or "secret" in name
                        if is_secret and isinstance(value, str | bytes) and len(value) >= 16:
                            yield f"{path.name} {table}.{name} {number}", value


def signatures(world: World) -> Iterator[tuple[str, str]]:
    """What the gateway signed when sub-devices came: the clock stands still meanwhile."""
    for event in world.told("subdevice_online"):
        product_key, _, name = str(event.fields["device"]).partition("/")
        device = DeviceId(product_key, name)
        secret = world.site.secrets.get(f"device_secret.{product_key}.{name}")
        if secret is not None:
            proof = Proof(secret=secret)
            yield f"login sign of {device}", login_params(device, proof, event.at)["sign"]
            yield f"topology sign of {device}", topo_add_params(device, proof, event.at)[0]["sign"]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    said = Said()
    site = Site(tmp_path_factory.mktemp("leaks"), ble=("simulated",), wifi=("simulated",))

    async def main() -> None:
        async with running(site, home=STORY.read_text("utf-8")) as world:
            places = await live_through(world, said)
            await be_refused(world, said, places[3:])
            await look_around(world, said, "at the end")
            reported = (await world.service.figures()).tokens
            said.secrets |= {f"token {n} of {t.device}": t.token for n, t in enumerate(reported)}
            said.secrets |= {f"ticket {n}": p.rpartition("/")[2] for n, p in enumerate(places)}
            said.secrets |= dict(signatures(world))
            said.secrets |= dict(read_files(site))

    with listening_to_the_log() as log:
        run_jumping(main())
        said.by["log"] = log.getvalue()
    said.secrets |= site.secrets | {"the token that a join brought": BROUGHT}
    return said


def test_there_is_something_to_find_and_something_to_search(said: Said) -> None:
    names = " ".join(said.secrets)
    for kind in ("passphrase.home", "product_secret.a1DemoLock1", "device_secret.a1DemoPlug1.plug-01"):
        assert kind in said.secrets
    for kind in (
        "of a1DemoGate1/gateway-01",
        "of a1DemoCam01/camera-01",
        "of a1DemoPlug1/plug-77",
        "ticket 3",
    ):
        assert kind in names
    for kind in ("login sign of a1DemoPlug1/plug-01", "enrolld.db meta.value", "enrolld.db tickets.id"):
        assert kind in names
    for kind in ("enrolld.db secrets.secret", "service.db tokens.token", "service.db devices.secret"):
        assert kind in names
    for event in ("join_refused", "join_admitted", "subdevice_removed", "token_reported", "home_ended"):
        assert event in said.by["/v1/events at the end"]
    assert "plug-77" in said.by["repr of what lives amid"]
    assert "Ticket(" in said.by["repr of what lives amid"]
    assert "Token(" in said.by["repr of what lives amid"]
    assert "enrolld_" in said.by["/metrics at the end"]
    assert len(said.by["log"]) > 100


def test_no_secret_is_in_anything_that_was_said(said: Said) -> None:
    assert leaks(said.secrets, said.by) == []


@pytest.mark.parametrize("kind", ["as it is", "hex", "HEX", "repr", "base64"])
@pytest.mark.parametrize("where", ["log", "/metrics at the end", "repr of what lives amid", "refusal 3"])
def test_a_planted_secret_is_found(said: Said, where: str, kind: str) -> None:
    secret = bytes.fromhex(BROUGHT)
    planted = {
        "as it is": BROUGHT,
        "hex": secret.hex(),
        "HEX": secret.hex().upper(),
        "repr": repr(secret),
        "base64": base64.b64encode(secret).decode(),
    }[kind]
    text = said.by[where]
    spoilt = {**said.by, where: text[: len(text) // 2] + planted + text[len(text) // 2 :]}
    assert f"the token that a join brought in {where}" in leaks(said.secrets, spoilt)


async def test_no_secret_is_on_the_command_line_or_in_the_environment_of_the_process(tmp_path: Path) -> None:
    site = Site(tmp_path, ble=("simulated",), wifi=("simulated",))
    site.drop_in('[log]\nlevel = "debug"\n')
    log = tmp_path / "log"
    with log.open("wb") as out:
        command = site.command("--simulate")
        child = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out)
        try:
            async with asyncio.timeout(20):
                while not (site.run / "join.sock").exists():
                    assert child.returncode is None, log.read_text("utf-8")
                    await asyncio.sleep(0.03)
            place = Path(f"/proc/{child.pid}")
            shown = {name: (place / name).read_bytes().decode("latin-1") for name in ("cmdline", "environ")}
        finally:
            if child.returncode is None:
                child.terminate()
            await child.wait()
    shown["log"] = log.read_text("utf-8")
    assert "agent.daemon" in shown["cmdline"]
    assert leaks(site.secrets, shown) == []
    assert leaks({"the module's name": "agent.daemon"}, shown) == ["the module's name in cmdline"]


def test_wrong_joins_do_not_repeat_what_they_were_told(tmp_path: Path) -> None:
    """Also the errors that are raised, not only what the sockets make of them."""
    site = Site(tmp_path)
    secret = site.secrets["passphrase.home"]
    texts: dict[str, str] = {}

    async def main() -> None:
        async with running(site) as world:
            gateway = world.agent.gateway
            await world.permit(None, 0)
            place = (await world.ticket(PLUG)).rpartition("/")[2]
            wrong: list[Callable[[], Awaitable[object]]] = [
                lambda: gateway.complete_join(place, {"v": 1, "token": secret}),
                lambda: gateway.complete_join(place, {"v": 1, "sign_params": {"clientId": secret}}),
                lambda: gateway.complete_join(
                    place,
                    {"v": 1, "sign_params": {"clientId": "a", "signMethod": secret, "sign": secret}},
                ),
                lambda: gateway.complete_join(secret, {"v": 1}),
                lambda: gateway.provision("camera-01", None, secret, overwrite=False, by="cli"),
                lambda: gateway.permit(None, secret, "cli"),
                lambda: gateway.join(asking(PLUG) | {"v": secret}),
            ]
            for number, ask in enumerate(wrong):
                try:
                    await ask()
                except Exception as error:  # noqa: BLE001  whatever it says, it must not say that
                    texts[str(number)] = "".join(traceback.format_exception(error)) + repr(error)
            assert len(texts) == len(wrong)

    run_jumping(main())
    assert leaks({"secret": secret}, texts) == []
