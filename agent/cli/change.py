"""``permit``, ``provision``, ``forget``, ``loglevel``: what goes through admin.sock."""

from __future__ import annotations

import argparse
import re
import sys

from agent.cli.client import change, segment
from agent.cli.exits import BAD_DATA, DONE, NO, CommandFailed
from agent.cli.options import Commands, add_daemon_command, show
from agent.cli.rows import permit_lines
from agent.cli.table import printable
from agent.model import PRODUCT_KEY_TEXT

ALWAYS = 0  # cloud-device-channel.md, thing/gateway/permit: until the next command
NEVER = 65535  # the same: close, and deny the product
LONGEST = 65534
PASSPHRASE_OCTETS = 4096
LEVELS = ("debug", "info", "warning", "error")


def add(commands: Commands) -> None:
    """Add the commands that change something."""
    permit = add_daemon_command(
        commands, "permit", "open or close a window for sub-devices to join", run_permit
    )
    permit.add_argument("product", metavar="PRODUCTKEY|any", type=read_product)
    permit.add_argument(
        "time", metavar="SECONDS|always|never", type=read_time, help=f"1 to {LONGEST} seconds"
    )
    provision = add_daemon_command(commands, "provision", "start provisioning one enrollee", run_provision)
    provision.add_argument("enrollee", metavar="ENROLLEE", help="its id, or a MAC or name that is unique")
    provision.add_argument(
        "--network", metavar="NAME", help="which [networks.NAME] (default: the default one)"
    )
    provision.add_argument("--passphrase-stdin", action="store_true", help="read its passphrase, one line")
    provision.add_argument("--overwrite", action="store_true", help="also when it is bound already")
    forget = add_daemon_command(commands, "forget", "remove one sub-device", run_forget)
    forget.add_argument("subdevice", metavar="SUBDEVICE", help="productKey/deviceName, or a MAC or name")
    level = add_daemon_command(commands, "loglevel", "set how much the daemon logs", run_loglevel)
    level.add_argument("level", metavar="LEVEL", choices=LEVELS, help=", ".join(LEVELS))


def read_product(text: str) -> str | None:
    """A productKey, or None for ``any``; argparse makes a usage error of anything else."""
    if text == "any":
        return None
    if not PRODUCT_KEY_TEXT.fullmatch(text):
        raise argparse.ArgumentTypeError("a productKey has 1 to 20 letters, digits or - _ @ . :")
    return text


def read_time(text: str) -> int:
    """The ``time`` of a window: 1 to 65534 seconds, 0 for ``always``, 65535 for ``never``."""
    words = {"always": ALWAYS, "never": NEVER}
    if text in words:
        return words[text]
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to {LONGEST} seconds, nor always or never")
    return int(text)


def run_permit(args: argparse.Namespace) -> int:
    """Set the window and print all that are open now."""
    document = change(args.run_dir, "POST", "/v1/permits", {"product_key": args.product, "time": args.time})
    show(args, document, permit_lines(document))
    return DONE


def run_provision(args: argparse.Namespace) -> int:
    """Start it; a refusal is an answer of no, with its sentence."""
    wanted = {"enrollee": args.enrollee, "network": args.network, "overwrite": args.overwrite}
    if args.passphrase_stdin:
        wanted["passphrase"] = read_passphrase()
    document = change(args.run_dir, "POST", "/v1/provision", wanted)
    name, sentence = document.get("enrollee", args.enrollee), document.get("sentence", "started")
    show(args, document, [printable(f"{name}: {sentence}")])
    return NO if document.get("decision") == "refused" else DONE


def read_passphrase() -> str:
    """One line of standard input without its newline; never a word of the command line."""
    data = sys.stdin.buffer.readline(PASSPHRASE_OCTETS).removesuffix(b"\n")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CommandFailed(BAD_DATA, "the passphrase is not UTF-8") from error


def run_forget(args: argparse.Namespace) -> int:
    """Remove it, and say how far that is."""
    document = change(args.run_dir, "DELETE", f"/v1/subdevices/{segment(args.subdevice)}")
    name, state = document.get("id", args.subdevice), document.get("state", "removed")
    show(args, document, [printable(f"{name}: {state}")])
    return DONE


def run_loglevel(args: argparse.Namespace) -> int:
    """Set it until the next restart."""
    document = change(args.run_dir, "PUT", "/v1/loglevel", {"level": args.level})
    show(args, document, [f"log level {args.level}"])
    return DONE
