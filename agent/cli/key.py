"""``enrollctl key derive``: one session key by the cloud's formulas, without a daemon."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from agent.errors import InputRefused
from agent.keys import CIPHER_TYPES, WITH_MAC, derive, read_random, session_key
from agent.model import mac_bytes

SECRET_MAX = 4096

# argparse gives its own result no public name.
Commands = argparse._SubParsersAction


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command ``key derive``."""
    key = commands.add_parser("key", help="derive a session key")
    verbs = key.add_subparsers(metavar="VERB", required=True)
    parser = verbs.add_parser(
        "derive",
        help="derive a key by a cipherType of the cloud",
        description="Derive digest and session key. The secret comes from a file or from standard input; "
        "one newline at its end is not part of it.",
    )
    parser.add_argument(
        "--type", type=int, choices=CIPHER_TYPES, required=True, help="cipherType: 3, 4, or with MAC 6, 7"
    )
    parser.add_argument("--random", required=True, metavar="HEX", help="16 octets, 32 hex digits")
    parser.add_argument("--mac", help="display order, with or without separators; for 6 and 7")
    parser.add_argument("--secret-file", type=Path, metavar="F", help="default: standard input")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run_derive, usage_error=parser.error)


def run_derive(args: argparse.Namespace) -> int:
    """Print digest and key; 65 for bad input, 66 when the secret's file cannot be read."""
    if args.mac is None and args.type in WITH_MAC:
        args.usage_error(f"--type {args.type} needs --mac")
    try:
        random = read_random(args.random)
        mac = None if args.mac is None else _read_mac(args.mac)
        digest = derive(args.type, _read_secret(args.secret_file), random, mac)
    except InputRefused as error:
        return _fail(os.EX_DATAERR, str(error))
    except OSError as error:
        return _fail(os.EX_NOINPUT, f"cannot read the secret from {error.filename}: {error.strerror}")
    _print(digest, as_json=args.json)
    return os.EX_OK


def _read_mac(text: str) -> bytes:
    try:
        return mac_bytes(text)
    except ValueError as error:
        raise InputRefused(str(error)) from None


def _read_secret(path: Path | None) -> str:
    if path is None:
        octets = sys.stdin.buffer.read(SECRET_MAX + 1)
    else:
        with path.open("rb") as file:
            octets = file.read(SECRET_MAX + 1)
    if len(octets) > SECRET_MAX:
        raise InputRefused(f"secret must not have more than {SECRET_MAX} octets")
    try:
        return octets.removesuffix(b"\n").decode("ascii")
    except UnicodeDecodeError:
        raise InputRefused("secret must be ASCII text") from None


def _print(digest: bytes, *, as_json: bool) -> None:
    fields = {"digest": digest.hex(), "key": session_key(digest).hex()}
    if as_json:
        print(json.dumps({"v": 1, **fields}))
        return
    for name, value in fields.items():
        print(f"{name:6} {value}")


def _fail(code: int, sentence: str) -> int:
    print(f"enrollctl: {sentence}", file=sys.stderr)
    return code
