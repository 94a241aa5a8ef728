"""Secrets, rights, state and sockets of an installation, as files."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from agent import config, credentials
from agent.checkup.findings import UNITS, Finding, Findings, Machine, Severity, good, problem
from agent.config import Settings
from agent.status.sockets import Right, socket_path

USER = "_enrolld"
GROUPS = {Right.READ: "enrolld", Right.JOIN: "enrolld-join", Right.CHANGE: "enrolld-admin"}
LEAST_SPACE = 16 * 1024 * 1024


def examine_secrets(machine: Machine, settings: Settings | None) -> Findings:
    """The directory of secrets: there, private, and with names and contents that will be taken."""
    directory = machine.config.parent / "secrets"
    if settings is not None and settings.secrets.directory is not None:
        directory = settings.secrets.directory
    if not directory.is_dir():
        mend = f"install -d -m 0700 {directory}"
        yield problem("secrets", f"{directory} is not there: systemd would never start the service", mend)
        return
    if not os.access(directory, os.R_OK | os.X_OK):
        yield Finding(
            "secrets", Severity.NOTE, f"{directory} cannot be looked into by you", "run it with sudo"
        )
        return
    known = credentials.load(directory, systemd=None)
    for trouble in known.problems():
        yield problem("secrets", trouble, f"mend that file in {directory}, then systemctl restart enrolld")
    for missing in config.missing_secrets(settings, known) if settings else ():
        yield problem("secrets", missing, f"write it into {directory}, mode 0600, and restart enrolld")
    yield good("secrets", f"{directory} holds {len(known.names())} secrets that can be used")


def examine_readable(config: Path) -> Findings:
    """The files of the configuration, which the service reads as a user of its own."""
    folders = (config.parent, config.with_name(config.name + ".d"), config.parent / "products.d")
    files = [
        config,
        *(file for folder in folders[1:] if folder.is_dir() for file in sorted(folder.glob("*.toml"))),
    ]
    for path in (*folders, *files):
        wanted = 0o005 if path in folders else 0o004
        if path.exists() and path.stat().st_mode & wanted != wanted and _user(path.stat().st_uid) != USER:
            mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
            yield problem(
                "configuration", f"{path} is closed to the service (mode {mode})", f"chmod o+rX {path}"
            )


def examine_people() -> Findings:
    """The service's user, the three groups, and which of them whoever asks is in."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        yield problem("user", f"there is no user {USER}", "systemd-sysusers")
    mine = set(os.getgroups()) | {os.getegid()}
    for right, name in GROUPS.items():
        try:
            number = grp.getgrnam(name).gr_gid
        except KeyError:
            yield problem("groups", f"there is no group {name}", "systemd-sysusers")
            continue
        if number in mine or os.geteuid() == 0:
            yield good("groups", f"you may open {right.value}")
        else:
            mend = f"usermod -aG {name} USER, and log in again"
            yield Finding(
                "groups", Severity.NOTE, f"you are not in {name}: {right.value} is closed to you", mend
            )


def examine_state(state: Path) -> Findings:
    """The state directory: owner, mode, and room on its disk."""
    try:
        status = state.stat()
    except FileNotFoundError:
        yield Finding(
            "state", Severity.NOTE, f"{state} is not there yet: systemd makes it at the first start"
        )
        return
    except OSError as error:
        yield problem("state", f"{state}: {error.strerror}", "run it with sudo")
        return
    if _user(status.st_uid) != USER:
        mend = f"chown -R {USER}: {state}"
        yield problem("state", f"{state} belongs to {_user(status.st_uid)}, not to {USER}", mend)
    if stat.S_IMODE(status.st_mode) & 0o077:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        yield problem("state", f"{state} is open to others (mode {mode})", f"chmod 0700 {state}")
    disk = os.statvfs(state)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_flag & os.ST_RDONLY:
        yield problem(
            "state",
            f"{state} is on a disk that is mounted read-only",
            "remount it rw, systemctl restart enrolld",
        )
    elif free < LEAST_SPACE:
        yield problem(
            "state", f"{free // 1024} KiB are free for {state}: nothing new is accepted", "make room there"
        )
    else:
        yield good("state", f"{state}, {free // (1024 * 1024)} MiB are free")


def examine_sockets(run: Path) -> Findings:
    """The three sockets: there, and open to their group alone."""
    for right, group in GROUPS.items():
        path = socket_path(run, right)
        unit = UNITS[1 + list(GROUPS).index(right)]
        try:
            status = path.lstat()
        except OSError as error:
            yield problem("sockets", f"{path}: {error.strerror}", f"systemctl start {unit}")
            continue
        if not stat.S_ISSOCK(status.st_mode):
            yield problem(
                "sockets", f"{path} is in the way: it is no socket", f"remove it, systemctl restart {unit}"
            )
        elif stat.S_IMODE(status.st_mode) != 0o660 or _group(status.st_gid) != group:
            seen = f"{stat.S_IMODE(status.st_mode):04o} {_group(status.st_gid)}"
            yield problem("sockets", f"{path} is {seen}, not 0660 {group}", f"systemctl restart {unit}")
        else:
            yield good("sockets", f"{path} is open to the group {group}")


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
