"""Who uses the gateway in crash tests, and what they may rely on: what was acknowledged is so.

The ledger of what was answered is kept here, apart from the daemon; each new life is compared with it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from agent.model import DeviceId
from agent.status.sockets import Right
from tests.crash.nursery import Nursery
from tests.crash.outside import Answer, Death, Outside, boot
from tests.crash.place import GATEWAY, LOCK, Disk, TokenRow, read_disk
from tests.crash.windows import ANY, Windows

TICKET_LIFE = 60.0
RENEWAL = 90.0


class Known(StrEnum):
    """What the people outside were told of a device."""

    NOTHING = "nothing"
    ASKED = "asked"  # a done or a forget is on its way: both outcomes are fine
    JOINED = "joined"  # its done was acknowledged
    FORGOTTEN = "forgotten"  # its forget was acknowledged


class People:
    """Opens windows, brings devices, forgets them; `check` compares each new life with what was told."""

    def __init__(
        self, place: Path, nursery: Nursery, deaths: Iterator[Death], *, reboots: bool = False
    ) -> None:
        self.known: dict[DeviceId, Known] = {}
        self.handed: set[tuple[str, DeviceId]] = set()
        self.tokens: dict[tuple[str, DeviceId], TokenRow] = {}
        self.left_behind: set[tuple[str, DeviceId]] = set()
        self.windows = Windows({})
        self.boots = 0
        self._attempted: tuple[str, int, float] | None = None
        self._place = place
        self._reboots = reboots
        self._closed_by_reboot: set[str] = set()
        self._settled = 0.0
        self._forgotten: dict[DeviceId, float] = {}
        self.dropped = 0  # tokens that waited when the machine went down
        self.outside = Outside(place, nursery, deaths, reborn=self._reborn, look=self._look)

    # Acts

    def permit(self, key: str, time: int) -> None:
        """One permit command, until it is acknowledged."""
        self._attempted = (key, time, boot())
        body = {"product_key": key or None, "time": time}
        answer = self.outside.ask(Right.CHANGE, "POST", "/v1/permits", body)
        assert answer.status == 200, answer
        self.windows = self.windows.command(key, time, answer.sent, answer.answered)
        self._attempted = None
        fault = self.windows.find_fault(answer.document, answer.sent, answer.answered)
        assert fault is None, fault

    def bring(self, device: DeviceId, *, token: bool = False) -> bool:
        """A device asks to join and completes it; False when the door refused it, as it should.

        ``token``: it hands over a bind token of its own, a fresh one for each ticket.
        """
        asked = {"v": 1, "medium": "zigbee", "address": device.device_name}
        asked |= {"product_key": device.product_key, "device_name": device.device_name}
        while True:
            answer = self.outside.ask(Right.JOIN, "POST", "/v1/joins", asked)
            assert answer.status == 200, answer
            admitted = answer.document["decision"] == "admitted"
            expected = self.windows.allows(device.product_key, answer.sent, answer.answered)
            assert expected in (None, admitted), (answer.document, self.windows)
            if not admitted:
                return False
            if self._complete(device, answer, secrets.token_hex(16).upper() if token else None):
                return True

    def _complete(self, device: DeviceId, admission: Answer, token: str | None) -> bool:
        """Redeem a ticket; False when it is lost, which takes a reboot."""
        boots, before = self.boots, self.known.get(device, Known.NOTHING)
        if before is not Known.JOINED:
            self.known[device] = Known.ASKED
        if token is not None:
            self.handed.add((token, device))
        body = {"v": 1, "sign_params": None, "token": token}
        path = f"/v1/joins/{admission.document['ticket']}/done"
        answer = self.outside.ask(Right.JOIN, "POST", path, body)
        if answer.status in (404, 410):
            late = answer.answered - admission.answered > TICKET_LIFE
            assert late or self.boots > boots, f"a ticket was lost: {answer}"
            return False
        assert answer.status == 202 or (answer.status == 409 and answer.tries > 1), answer
        self.known[device] = Known.JOINED
        return True

    def forget(self, device: DeviceId) -> None:
        """Take a device out, until that is acknowledged."""
        self.known[device] = Known.ASKED
        answer = self.outside.ask(Right.CHANGE, "DELETE", f"/v1/subdevices/{device}")
        assert answer.status == 200 or (answer.status == 404 and answer.tries > 1), answer
        self.known[device] = Known.FORGOTTEN
        self._forgotten[device] = answer.answered

    def watch(self) -> bool:
        """Look at the windows, which are as they should be; True while one is open that will end."""
        answer = self.outside.ask(Right.CHANGE, "GET", "/v1/permits")
        fault = self.windows.find_fault(answer.document, answer.sent, answer.answered)
        assert fault is None, fault
        return any(not row["always"] for row in answer.document["windows"])

    def wait_for(self, device: DeviceId) -> None:
        """Wait until a device that joined is online, or one that was forgotten is gone."""
        self.outside.wait_until(lambda: not self._pending([device]), f"{device} settled")

    def settle(self) -> None:
        """Wait until everything is as it was acknowledged, and no token waits."""
        self.outside.wait_until(lambda: not self._pending(self.known), "every sub-device settled")
        self.outside.wait_until(self._are_tokens_reported, "every token reported")
        self._settled = boot()
        if self.dropped:
            counted = self.outside.ask(Right.CHANGE, "GET", "/v1/tokens").document["dropped"]
            assert counted.get("rebooted") == self.dropped, counted

    def _pending(self, devices: Iterable[DeviceId]) -> list[str]:
        states = _states(self.outside.ask(Right.CHANGE, "GET", "/v1/subdevices"))
        wrong = []
        for device in devices:
            wanted = "online" if self.known[device] is Known.JOINED else None
            if states.get(str(device)) != wanted:
                wrong.append(str(device))
        return wrong

    def _are_tokens_reported(self) -> bool:
        """True when no token waits, and the gateway and each member have one that lives."""
        document = self.outside.ask(Right.CHANGE, "GET", "/v1/tokens").document
        owners = {row["device"] for row in document["tokens"]}
        members = {str(device) for device, known in self.known.items() if known is Known.JOINED}
        return document["waiting"] == 0 and {str(GATEWAY), *members} <= owners

    def boot_id(self) -> str:
        """The boot that the daemon is in."""
        return f"boot{self.boots}"

    # Lives

    def _reborn(self) -> str:
        """Between two lives: read the disk; in a place where the machine goes down with it, reboot."""
        disk = self.read()
        if self._reboots and self.outside.lives:
            self._closed_by_reboot = self.windows.timed(boot())
            waiting = [row for row in disk.tokens if row.state == "waiting"]
            self.dropped = len(waiting)
            self.left_behind |= {
                (row.value, row.device) for row in waiting if (row.value, row.device) not in disk.reports
            }
            self.boots += 1
            self.windows = self.windows.reboot()
        return self.boot_id()

    def read(self) -> Disk:
        """The disk of a dead daemon; every token on it is remembered."""
        disk = read_disk(self._place)
        for row in disk.tokens:
            self.tokens[row.value, row.device] = row
        return disk

    def _look(self, shown: Mapping[str, Answer]) -> None:
        """A new life: what was acknowledged is in effect, what was not asked for is not."""
        permits = shown["permits"]
        faults = [w.find_fault(permits.document, permits.sent, permits.answered) for w in self._possible()]
        assert None in faults, faults
        states = _states(shown["subdevices"])
        for device, known in self.known.items():
            state = states.pop(str(device), None)
            if known is Known.JOINED:
                assert state in ("joining", "online", "offline"), (device, state)
            elif known is Known.FORGOTTEN:
                assert state in (None, "removing"), (device, state)
        assert not states, f"nobody asked for {states}"
        if self._closed_by_reboot:
            told = shown["events"].document["events"]
            closed = {
                e["product_key"] or ANY for e in told if e.get("reason") == "rebooted" and "product_key" in e
            }
            assert self._closed_by_reboot <= closed or self._attempted is not None, closed
            self._closed_by_reboot = set()

    def _possible(self) -> list[Windows]:
        """The windows as they may be: a command that was not answered counts or does not."""
        possible = [self.windows]
        if self._attempted is not None:
            key, time, since = self._attempted
            attempted = self.windows.command(key, time, since, boot())
            possible.append(attempted.reboot() if self._reboots else attempted)
        return possible

    # The end

    def check_end(self) -> Disk:
        """Kill the daemon for good and compare both files with what was acknowledged and with each other."""
        self.outside.end()
        disk = self.read()
        members = {device for device, known in self.known.items() if known is Known.JOINED}
        assert disk.subdevices == dict.fromkeys(members, "member")
        assert disk.topology == dict.fromkeys(members, GATEWAY)
        assert disk.waiting_items == 0
        self._check_secrets(disk, members)
        self._check_tokens(disk)
        return disk

    def _check_secrets(self, disk: Disk, members: set[DeviceId]) -> None:
        dynamic = {device for device in members if device.product_key != LOCK}
        assert disk.received_secrets.keys() == dynamic
        assert all(disk.minted_secrets[device] == disk.received_secrets[device] for device in dynamic)

    def _check_tokens(self, disk: Disk) -> None:
        """None was lost while it lived, none came from nowhere, none of another boot was sent."""
        assert disk.reports.keys() <= self.tokens.keys()
        assert not self.left_behind & disk.reports.keys()
        now = boot()
        for key, row in self.tokens.items():
            is_away = row.made <= self._forgotten.get(row.device, 0.0)
            is_dead = row.boot_id != self.boot_id() or row.expires <= now
            is_fresh = row.made > self._settled
            assert key in disk.reports or is_away or is_dead or is_fresh, f"a token was lost: {row}"
        for device in {row.device for row in self.tokens.values()}:
            self._check_pace([row for row in self.tokens.values() if row.device == device])

    def _check_pace(self, rows: list[TokenRow]) -> None:
        """A crash makes no second token: within a boot the agent makes one 90 s after the last one."""
        made = [row for row in rows if (row.value, row.device) not in self.handed]
        for earlier, later in pairwise(sorted(made, key=lambda row: row.made)):
            apart = later.made - earlier.made
            is_new_life = earlier.made <= self._forgotten.get(later.device, 0.0) <= later.made
            assert apart >= RENEWAL or earlier.boot_id != later.boot_id or is_new_life, (earlier, later)


def _states(answer: Answer) -> dict[str, str]:
    assert answer.status == 200, answer
    return {row["id"]: row["state"] for row in answer.document["subdevices"]}
