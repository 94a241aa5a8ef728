"""``enrollctl cloud``: the provisioning service alone, and its accounts."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from agent.cli import client
from agent.cli.exits import BAD_DATA, DONE, NO, CommandFailed
from agent.cli.options import Commands
from agent.errors import InputRefused
from agent.status.sockets import RUN

CONFIG = Path("/etc/enrolld/enrolld.toml")
STATE = Path("/var/lib/enrolld")
TAKEN = 409
DEFAULT_URL = "http://127.0.0.1:8040"  # of service.listen, where a service has not listened yet
TOKEN_CODES = (401, 460, 2401, 2459, 29003)  # what a void iotToken may be answered with (HTTP 3)


def add(commands: Commands) -> None:
    """Add the commands ``cloud serve`` and ``cloud account create``."""
    does = "the provisioning service and its accounts"
    verbs = commands.add_parser("cloud", help=does, description=does).add_subparsers(
        metavar="VERB", required=True
    )
    _add_serve(verbs)
    accounts = verbs.add_parser("account", help="accounts of the service").add_subparsers(
        metavar="VERB", required=True
    )
    _add_create(accounts)


def _add_serve(verbs: Commands) -> None:
    does = "run the provisioning service alone, with the products and secrets of the configuration"
    parser = verbs.add_parser("serve", help=does, description=does)
    state = Path(os.environ.get("STATE_DIRECTORY") or STATE)
    parser.add_argument("--config", type=Path, default=CONFIG, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--state", type=Path, default=state, metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="instead of service.listen; port 0 is a free one"
    )
    parser.add_argument(
        "--lab", action="store_true", help="take any date and repeated nonces; signatures are checked as ever"
    )
    parser.add_argument(
        "--token-code",
        type=int,
        choices=TOKEN_CODES,
        default=TOKEN_CODES[0],
        help="the code for an iotToken that is not valid, to test clients with; default: %(default)s",
    )
    parser.set_defaults(run=run_serve)


def _add_create(verbs: Commands) -> None:
    does = "make an account: a new file with all that an app needs, readable by its owner only"
    parser = verbs.add_parser("create", help=does, description=does)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="must not exist yet")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--run", dest="run_dir", type=Path, default=RUN, metavar="DIR", help="ask the daemon there"
    )
    where.add_argument("--state", type=Path, metavar="DIR", help="write to that state; no daemon is needed")
    parser.set_defaults(run=run_create)


def run_serve(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; 78 for a configuration that does not do, 75 when the port is taken."""
    from agent.cli.cloud_serve import Order, serve

    asyncio.run(serve(Order(args.config, args.state, args.listen, args.lab, args.token_code)))
    return DONE


def run_create(args: argparse.Namespace) -> int:
    """Make the file first, then the account: an account that nobody could use would only be in the way."""
    out: Path = args.out
    try:
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise CommandFailed(NO, f"{out} exists already; an account file is never written over") from None
    try:
        with open(file, "w", encoding="utf-8") as stream:  # noqa: PTH123  it is a descriptor
            stream.write(json.dumps(_create(args), indent=1) + "\n")
    except BaseException:
        out.unlink()
        raise
    print(out)
    return DONE


def _create(args: argparse.Namespace) -> Mapping[str, object]:
    if args.state is not None:
        return asyncio.run(_create_in(args.state, args.name))
    return client.change(args.run_dir, "POST", "/v1/accounts", {"name": args.name})


async def _create_in(state: Path, name: str) -> Mapping[str, object]:
    from agent.clock import SystemClock
    from agent.service.service import Service

    if not state.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(state))
    service = await Service.open(
        state,
        products=dict,
        product_secret=lambda product: None,
        device_secret=lambda device: None,
        clock=SystemClock(),
    )
    try:
        account = await service.create_account(name)
    except InputRefused as refusal:
        raise CommandFailed(NO if refusal.code == TAKEN else BAD_DATA, str(refusal)) from refusal
    else:
        return account.document(service.app, service.url or DEFAULT_URL)
    finally:
        await service.close()
