"""``enrollctl api`` against a recording server: what it sends, prints and exits with."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.cli import api
from agent.cli.exits import exit_code_of
from agent.codec import apigw
from agent.errors import AgentError
from tests.api_recorder import LOGIN, TOKEN, Raw, Recorder, data, error, grant, recording

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
AUTH_CODE = "ac-7351"
LIST, CHECK = "/awss/enrollee/list/get", "/awss/token/check"
Captured = pytest.CaptureFixture[str]


@contextmanager
def recorded(answers: dict[str, list[Any]]) -> Iterator[Recorder]:
    """A recorder in a thread of its own, for a tool that blocks."""
    ready: list[Recorder] = []
    started, stopping = threading.Event(), threading.Event()

    async def serve() -> None:
        async with recording(answers) as recorder:
            ready.append(recorder)
            started.set()
            await asyncio.to_thread(stopping.wait)

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    started.wait()
    try:
        yield ready[0]
    finally:
        stopping.set()
        thread.join()


def ctl(*words: str) -> int:
    """The exit status of a command line, with the errors that `main` turns into one."""
    parser = argparse.ArgumentParser()
    api.add(parser.add_subparsers())
    args = parser.parse_args(["api", *words])
    try:
        code: int = args.run(args)
    except AgentError as trouble:
        print(trouble, file=sys.stderr)
        return exit_code_of(trouble)
    return code


def write_account(
    directory: Path, url: str, mode: int = 0o600, changes: dict[str, object] | None = None
) -> str:
    content = {
        "v": 1,
        "url": url,
        "app_key": "23270001",
        "app_secret": SECRET,
        "identity_id": "i",
        "home_id": "h",
        "auth_code": AUTH_CODE,
    }
    file = directory / "account.json"
    file.touch(mode)
    file.chmod(mode)
    file.write_text(json.dumps(content | (changes or {})), "utf-8")
    return str(file)


def write_config(directory: Path, url: str, *, section: bool = True) -> str:
    text = '[gateway]\nproduct_key = "a1Gate"\ndevice_name = "gw-1"\n[cloud]\nlink = "embedded"\n'
    if section:
        text += f'[cloud.api]\nurl = "{url}"\napp_key = "23270001"\n'
    (directory / "enrolld.toml").write_text(text, "utf-8")
    secrets = directory / "secrets"
    secrets.mkdir(mode=0o700)
    for name, secret in (("app_secret", SECRET), ("auth_code", AUTH_CODE)):
        (secrets / name).touch(0o600)
        (secrets / name).write_text(secret + "\n", "utf-8")
    return str(directory / "enrolld.toml")


def test_an_account_file_calls_and_prints_the_envelope(tmp_path: Path, capsys: Captured) -> None:
    answer = data({"totalNum": 1, "items": [{"ssid": "客厅\x1b"}]})
    with recorded({LIST: [answer]}) as server:
        file = write_account(tmp_path, server.url)
        assert ctl(LIST, '{"pageSize":10,"pageNum":1}', "--api", file) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == answer
    assert told.out.isascii()
    assert told.err == ""
    assert server.paths == [LOGIN, LIST]
    assert server.requests[0].content["params"]["request"]["authCode"] == AUTH_CODE
    asked = server.requests[1].content
    assert asked["params"] == {"pageSize": 10, "pageNum": 1}
    assert asked["request"] == {"apiVer": "1.0.7", "iotToken": TOKEN}
    for request in server.requests:
        received = apigw.ReceivedRequest("POST", request.path, request.headers, request.body)
        apigw.verify(received, {"23270001": SECRET}.get, utc=None)


def test_the_configuration_names_url_key_and_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with recorded({}) as server:
        file = write_config(tmp_path, server.url)
        assert ctl("/some/other/path", "--config", file, "--api-ver", "1.0.9") == 0
    assert server.paths == [LOGIN, "/some/other/path"]
    assert server.requests[0].content["params"]["request"]["authCode"] == AUTH_CODE
    assert server.requests[1].content["request"]["apiVer"] == "1.0.9"
    assert server.requests[1].content["params"] == {}


def test_another_code_is_an_answer_of_no_and_still_printed(tmp_path: Path, capsys: Captured) -> None:
    with recorded({CHECK: [error(6608, "token not found")]}) as server:
        assert ctl(CHECK, '{"token":"t"}', "--api", write_account(tmp_path, server.url)) == 1
    assert json.loads(capsys.readouterr().out)["code"] == 6608


def test_parameters_may_come_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"token":"t"}\n')))
    with recorded({}) as server:
        assert ctl(CHECK, "-", "--api", write_account(tmp_path, server.url)) == 0
    assert server.of(CHECK)[0].content["params"] == {"token": "t"}


def test_opening_a_session_shows_none_of_its_tokens(tmp_path: Path, capsys: Captured) -> None:
    with recorded({}) as server:
        assert ctl(LOGIN, "{}", "--api", write_account(tmp_path, server.url)) == 0
    assert server.paths == [LOGIN]
    out = capsys.readouterr().out
    assert json.loads(out)["data"]["iotToken"] == "(hidden)"
    granted = grant()["data"]
    assert isinstance(granted, dict)
    assert granted["iotToken"] not in out
    assert granted["refreshToken"] not in out


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({LOGIN: [error(2462, f"authCode {AUTH_CODE} invalid")]}, 1),
        ({LOGIN: [Raw(400)]}, 1),
        ({CHECK: [Raw(503)]}, 75),
        ({CHECK: [Raw(200, b"<html>")]}, 75),
    ],
)
def test_what_is_no_answer_has_its_exit_status(
    tmp_path: Path, capsys: Captured, answers: dict[str, list[Any]], code: int
) -> None:
    with recorded(answers) as server:
        assert ctl(CHECK, "{}", "--api", write_account(tmp_path, server.url)) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert SECRET not in told.err
    assert AUTH_CODE not in told.err


def test_nobody_there_is_69(tmp_path: Path, capsys: Captured) -> None:
    with recorded({}) as server:
        url = server.url
    assert ctl(CHECK, "{}", "--api", write_account(tmp_path, url)) == 69
    assert "no connection" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"a":1e999}', "\udcff", " " * 70_000 + "{}"])
def test_bad_json_is_65(tmp_path: Path, text: str) -> None:
    assert ctl(CHECK, text, "--api", write_account(tmp_path, "http://127.0.0.1:9")) == 65


def test_a_path_that_is_none_is_65(tmp_path: Path) -> None:
    assert ctl("awss/token", "{}", "--api", write_account(tmp_path, "http://127.0.0.1:9")) == 65


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"url": "ftp://x"},
        {"url": "http://x/path"},
        {"app_key": 1},
        {"app_secret": ""},
        {"auth_code": None},
    ],
)
def test_an_account_file_that_is_none_is_65(
    tmp_path: Path, capsys: Captured, changes: dict[str, object]
) -> None:
    assert ctl(CHECK, "{}", "--api", write_account(tmp_path, "http://127.0.0.1:9", changes=changes)) == 65
    assert SECRET not in capsys.readouterr().err


def test_a_directory_is_no_account_file(tmp_path: Path) -> None:
    assert ctl(CHECK, "{}", "--api", str(tmp_path)) == 65


def test_an_account_file_open_to_others_is_worth_a_warning(tmp_path: Path, capsys: Captured) -> None:
    with recorded({}) as server:
        file = write_account(tmp_path, server.url, mode=0o644)
        assert ctl(CHECK, "{}", "--api", file) == 0
    assert f"{file} is open to others (mode 0644); run chmod 0600 on it" in capsys.readouterr().err


def test_without_a_section_it_is_78(tmp_path: Path, capsys: Captured) -> None:
    assert ctl(CHECK, "{}", "--config", write_config(tmp_path, "", section=False)) == 78
    assert "cloud.api is missing" in capsys.readouterr().err


def test_without_its_credentials_it_is_78(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    file = write_config(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "secrets" / "auth_code").unlink()
    assert ctl(CHECK, "{}", "--config", file) == 78
    assert "the credential auth_code is missing" in capsys.readouterr().err
