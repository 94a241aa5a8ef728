"""``enrollctl api``: one signed call of the HTTP API, without a daemon."""

from __future__ import annotations

import argparse
import asyncio
import os
import stat
import sys
from pathlib import Path

from agent import config, credentials
from agent.cli.exits import DONE, NO, UNREACHABLE, CommandFailed
from agent.cli.options import Commands
from agent.cli.table import json_line
from agent.clock import SystemClock
from agent.cloud.api import ApiClient
from agent.cloud.api_line import Installer, Route, Unreachable
from agent.codec.apigw_envelope import SUCCESS, Response
from agent.codec.strictjson import read_json
from agent.config.values import URL
from agent.errors import ConfigError, FrameError, InputRefused

CONFIG = Path("/etc/enrolld/enrolld.toml")
SECRETS = "secrets"  # beside the configuration, where the unit takes them from too
LONGEST = 64 * 1024  # octets; the service takes no longer body either
SESSION_MEMBERS = ("iotToken", "refreshToken")
STDIN = "-"


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "api",
        help="one signed call of the HTTP API",
        description="Log in where the path needs it, make one signed call, and print the envelope of its "
        "answer. Who calls stands in [cloud.api] of the configuration, or in an account file.",
    )
    parser.add_argument("path", metavar="PATH", help="for example /awss/enrollee/list/get")
    parser.add_argument(
        "params",
        metavar="JSON",
        nargs="?",
        default="{}",
        help=f"the parameters; {STDIN} reads them from stdin",
    )
    account = parser.add_mutually_exclusive_group()
    account.add_argument("--api", type=Path, metavar="FILE", help="of `enrollctl cloud account create`")
    account.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--api-ver", metavar="VERSION", help="default: that of the documents")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Call and print; 1 for a code other than 200, 69 when the API cannot be reached."""
    params = read_params(args.params)
    route, installer = read_settings(args.config) if args.api is None else read_account(args.api)
    client = ApiClient(route, installer, SystemClock(), delays=())
    try:
        response: Response = asyncio.run(client.call(args.path, params, args.api_ver))
    except Unreachable as error:
        raise CommandFailed(UNREACHABLE, str(error)) from error
    print(json_line(_hide_session(response.document())))
    return DONE if response.code == SUCCESS else NO


def read_params(text: str) -> dict[str, object]:
    """The parameters of the command line or of standard input; else an error that means 65."""
    data = sys.stdin.buffer.read(LONGEST + 1) if text == STDIN else os.fsencode(text)
    return _read_object(data, "the parameters")


def _read_object(data: bytes, what: str) -> dict[str, object]:
    if len(data) > LONGEST:
        raise InputRefused(f"{what}: longer than {LONGEST} octets")
    try:
        content = read_json(data)
    except FrameError as error:
        raise InputRefused(f"{what}: {error}") from error
    if not isinstance(content, dict):
        raise InputRefused(f"{what}: not a JSON object")
    return content


def read_account(file: Path) -> tuple[Route, Installer]:
    """An account file; a file that others may read is worth a warning, for it holds secrets."""
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = _read_object(stream.read(LONGEST + 1), f"{file}")
    except IsADirectoryError:
        raise InputRefused(f"{file}: is a directory, not an account file") from None
    if stat.S_ISREG(mode) and mode & 0o077:
        shown = f"{stat.S_IMODE(mode):04o}"
        print(
            f"enrollctl: warning: {file} is open to others (mode {shown}); run chmod 0600 on it",
            file=sys.stderr,
        )
    if content.get("v") != 1:
        raise InputRefused(f'{file}: not an account file of version 1 ("v": 1)')
    url = _read_text(content, "url", file)
    if not URL.fullmatch(url):
        raise InputRefused(f"{file}: url must be http(s)://HOST or http(s)://HOST:PORT")
    installer = Installer(
        _read_text(content, "app_key", file),
        _read_text(content, "app_secret", file),
        _read_text(content, "auth_code", file),
    )
    return Route(url.rstrip("/")), installer


def _read_text(content: dict[str, object], name: str, file: Path) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not value:
        raise InputRefused(f"{file}: {name} is missing")
    return value


def read_settings(file: Path) -> tuple[Route, Installer]:
    """``[cloud.api]`` of a configuration, with its two credentials; ConfigError when there is none."""
    settings = config.load(file)
    api = settings.cloud.api
    if api is None:
        raise ConfigError(
            f"{file}: cloud.api is missing; write that section, or give an account file: --api FILE"
        )
    systemd = os.environ.get("CREDENTIALS_DIRECTORY")
    directory = settings.secrets.directory or (None if systemd else file.parent / SECRETS)
    known = credentials.load(directory, systemd=Path(systemd) if systemd else None)
    app_secret = _find_secret(known, "app_secret")
    return Route(api.url), Installer(api.app_key, app_secret, _find_secret(known, api.auth_code))


def _find_secret(known: credentials.Credentials, name: str) -> str:
    secret = known.get(name)
    if secret is None:
        raise ConfigError("; ".join([f"the credential {name} is missing", *known.problems()]))
    return secret


def _hide_session(value: object) -> object:
    """The document without the tokens of a session: whoever reads a terminal's log is not logged in."""
    if isinstance(value, dict):
        return {
            name: "(hidden)" if name in SESSION_MEMBERS else _hide_session(member)
            for name, member in value.items()
        }
    return [_hide_session(member) for member in value] if isinstance(value, list) else value
