"""The verbs on the local sockets: which socket answers what, bodies, paths, and errors by who must act."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.errors import CloudBusy, CloudRefused, ConfigError, InputRefused, StoreError
from tests.peers import ADMIN, JOIN, READ, Peer, ask, message, serving
from tests.recording import STATUS


async def test_status_answers_on_read_and_admin(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert await ask(served.run / READ, "GET", "/v1/status") == (200, STATUS)
        assert await ask(served.run / ADMIN, "GET", "/v1/status") == (200, STATUS)


@pytest.mark.parametrize("name", ["enrollees", "permits", "subdevices", "tokens", "adapters", "health"])
async def test_every_read_is_one_document(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path) as served:
        status, answered = await ask(served.run / READ, "GET", f"/v1/{name}")
        assert (status, answered) == (200, getattr(served.agent, name)())


async def test_why_takes_an_id_with_or_without_encoded_slashes(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        for target in ("/v1/why/a1Plug%2Faabbcc001122", "/v1/why/a1Plug/aabbcc001122"):
            assert (await ask(served.run / READ, "GET", target))[0] == 200
        status, answered = await ask(served.run / READ, "GET", "/v1/why/nobody")
        assert (status, answered["error"]["code"]) == (404, "unknown")


async def test_metrics_are_served_as_text(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
        await peer.send(message("GET", "/metrics"))
        status, headers, body = await peer.response()
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b'\nenrolld_enrollees{class="configured"} 3\n' in body


CHANGES = [
    ("POST", "/v1/permits", b'{"product_key":"a1Plug","time":60}', ("permit", "a1Plug", 60, "cli")),
    ("POST", "/v1/permits", b'{"v":1,"product_key":null,"time":0}', ("permit", None, 0, "cli")),
    (
        "POST",
        "/v1/provision",
        b'{"enrollee":"wifi:a/b","network":"home","passphrase":"p","overwrite":true}',
        ("provision", "wifi:a/b", "home", "p", True, "cli"),
    ),
    (
        "POST",
        "/v1/provision",
        b'{"enrollee":"wifi:a/b"}',
        ("provision", "wifi:a/b", None, None, False, "cli"),
    ),
    ("DELETE", "/v1/subdevices/a1Plug/x%3Ay", None, ("forget", "a1Plug/x:y", "cli")),
    ("PUT", "/v1/loglevel", b'{"level":"debug"}', ("loglevel", "debug")),
]


@pytest.mark.parametrize(("method", "target", "body", "told"), CHANGES)
async def test_changes_reach_the_agent_from_admin_only(
    tmp_path: Path, method: str, target: str, body: bytes | None, told: tuple[object, ...]
) -> None:
    async with serving(tmp_path) as served:
        for name in (READ, JOIN):
            status, answered = await ask(served.run / name, method, target, body)
            assert (status, answered["error"]["code"]) == (403, "wrong_socket")
            assert "admin.sock" in answered["error"]["sentence"]
        assert served.agent.told == []
        status, answered = await ask(served.run / ADMIN, method, target, body)
        assert (status, answered["v"]) == (200, 1)
        assert served.agent.told == [told]


async def test_joins_go_through_join_sock_only(tmp_path: Path) -> None:
    body = {"v": 1, "medium": "zigbee", "address": "00124b", "product_key": "a1Plug", "device_name": "z1"}
    done = {"v": 1, "sign_params": {"clientId": "c", "signMethod": "sha256", "sign": "00"}, "token": "ab"}
    async with serving(tmp_path) as served:
        for name in (READ, ADMIN):
            assert (await ask(served.run / name, "POST", "/v1/joins", b"{}"))[0] == 403
        assert (await ask(served.run / JOIN, "GET", "/v1/status"))[0] == 403
        async with Peer(served.run / JOIN) as peer:
            status, answered = await peer.ask("POST", "/v1/joins", json.dumps(body).encode())
            assert (status, answered["ticket"]) == (200, "t-1")
            assert (await peer.ask("POST", "/v1/joins/t-1/done", json.dumps(done).encode()))[0] == 202
            assert (await peer.ask("GET", "/v1/joins/t-1"))[1]["state"] == "online"
        assert served.agent.told == [
            ("join", body),
            ("complete_join", "t-1", done),
            ("join_state", "t-1"),
        ]


BROKEN = [
    (b"", "JSON"),
    (b"{", "JSON"),
    (b"\xff\xfe", "JSON"),
    (b'{"time":60} x', "JSON"),
    (b'{"time":NaN}', "JSON"),
    (b"[1]", "one JSON object"),
    (b"null", "one JSON object"),
    (b'"text"', "one JSON object"),
    (b"[" * 60_000, "nested"),
    (b'{"time":' + b"[" * 40 + b"]" * 40 + b"}", "nested"),
    (b'{"time":36893488147419103232}', "64 bits"),
    (b'{"time":60,"surprise":1,"more":2}', "'more', 'surprise'"),
    (b'{"time":60,"\\u001b[2J":1}', "'\\x1b[2J'"),
    (b'{"time":60,"product_key":7}', "product_key"),
    (b'{"v":2,"time":60}', "$.v"),
    (b'{"v":"1","time":60}', "$.v"),
    (b'{"time":"60"}', "0 to 65535"),
    (b'{"time":70000}', "0 to 65535"),
    (b"{}", "0 to 65535"),
]


@pytest.mark.parametrize(("body", "said"), BROKEN)
async def test_a_malformed_body_is_400_and_the_connection_lives(
    tmp_path: Path, body: bytes, said: str
) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        status, answered = await peer.ask("POST", "/v1/permits", body)
        assert (status, answered["v"], answered["error"]["code"]) == (400, 1, "malformed")
        assert said in answered["error"]["sentence"]
        assert (await peer.ask("POST", "/v1/permits", b'{"time":60,"time":61}'))[0] == 200
        assert served.agent.told[-1] == ("permit", None, 61, "cli")  # of duplicate members the last


async def test_a_wrong_type_never_echoes_a_passphrase(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        body = b'{"enrollee":"wifi:a/b","passphrase":["hunter2hunter2"]}'
        status, answered = await ask(served.run / ADMIN, "POST", "/v1/provision", body)
        assert status == 400
        assert "hunter2" not in json.dumps(answered)
        assert "passphrase" in answered["error"]["sentence"]


ROUTES = [
    ("GET", "/", 404),
    ("GET", "/v1/nothing", 404),
    ("GET", "/v1/status/", 404),
    ("GET", "/v1/why/%ff", 400),
    ("POST", "/v1/status", 405),
    ("HEAD", "/v1/status", 405),
    ("GET", "/v1/loglevel", 405),
    ("BREW", "/v1/permits", 405),
    ("GET", "/v1/status?x=1", 400),
    ("GET", "/v1/events?after=-1", 400),
    ("GET", "/v1/events?after=1e3", 400),
    ("GET", "/v1/events?follow=yes", 400),
    ("GET", "/v1/events?follow=2", 400),
    ("GET", "/v1/events?after=1&unknown=2", 400),
    ("GET", "/v1/events?after=%ff", 400),
]


@pytest.mark.parametrize(("method", "target", "expected"), ROUTES)
async def test_paths_methods_and_queries(tmp_path: Path, method: str, target: str, expected: int) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        await peer.send(message(method, target))
        head = await peer.until(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {expected} ".encode())
        assert (b"Allow: " in head) == (expected == 405)


TROUBLES = [
    (InputRefused("not so"), 400, "malformed"),
    (InputRefused("who?", code=404), 404, "unknown"),
    (InputRefused("already done", code=409), 409, "conflict"),
    (InputRefused("too late", code=410), 410, "gone"),
    (InputRefused("odd", code=6214), 400, "malformed"),
    (StoreError("disk full"), 503, "store_unavailable"),
    (CloudBusy("no answer"), 503, "cloud_busy"),
    (CloudRefused(520, "no session"), 502, "cloud_refused"),
    (ConfigError("no network named x"), 409, "configuration"),
]


@pytest.mark.parametrize(("trouble", "status", "code"), TROUBLES, ids=str)
async def test_named_errors_say_who_must_act(
    tmp_path: Path, trouble: Exception, status: int, code: str
) -> None:
    async with serving(tmp_path) as served:
        served.agent.trouble = trouble
        answered = await ask(served.run / ADMIN, "PUT", "/v1/loglevel", b'{"level":"info"}')
        assert answered == (status, {"v": 1, "error": {"code": code, "sentence": str(trouble)}})


async def test_an_unexpected_exception_is_a_500_and_a_warning(tmp_path: Path) -> None:
    async with serving(tmp_path, strict=False) as served, Peer(served.run / ADMIN) as peer:
        served.agent.trouble = ZeroDivisionError("hunter2hunter2")
        status, answered = await peer.ask("PUT", "/v1/loglevel", b'{"level":"hunter2hunter2"}')
        assert (status, answered["error"]["code"]) == (500, "internal")
        assert served.health.has("parser_bug", subject="socket request")
        assert "hunter2" not in json.dumps(answered) + repr(served.health.warnings())
        assert (await peer.ask("GET", "/v1/status"))[0] == 200


async def test_an_unexpected_exception_is_raised_when_strict(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as served:
            served.agent.trouble = ZeroDivisionError("a bug")
            await ask(served.run / ADMIN, "PUT", "/v1/loglevel", b'{"level":"info"}')

    with pytest.raises(ExceptionGroup) as caught:
        await scenario()
    assert caught.group_contains(ZeroDivisionError)
