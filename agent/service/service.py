"""The provisioning service in this process: accounts, the API's calls, and the connections of devices."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.codec.alink_sign import Credentials
from agent.errors import FrameError, InputRefused
from agent.model import DeviceId, Product
from agent.ports import Clock
from agent.service import api, platform, rules_accounts, rules_sessions
from agent.service.book import Book, Hook
from agent.service.book_tokens import TokenFigures
from agent.service.values import Account, Answer, Ask, Caller, Desk, Now, ServiceSettings, Sources

T = TypeVar("T")
Deliver = Callable[[str, bytes], None]

FILE_NAME = "service.db"
LONGEST_ACCOUNT = 64


class Session:
    """One open connection of a device; ``deliver`` takes topic and payload of what the service sends it."""

    def __init__(self, origin: platform.Origin, deliver: Deliver) -> None:
        self.origin = origin
        self.deliver = deliver
        self._closed = asyncio.Event()

    @property
    def device(self) -> DeviceId:
        """Whose connection it is."""
        return self.origin.device

    @property
    def is_closed(self) -> bool:
        """True once either side closed it."""
        return self._closed.is_set()

    def close(self) -> None:
        """Mark it closed and wake whoever waits for that."""
        self._closed.set()

    async def wait_closed(self) -> None:
        """Return once it is closed."""
        await self._closed.wait()


@dataclass(frozen=True, slots=True)
class Figures:
    """What the service counts: binds per token and device, sub-devices per gateway, broken messages."""

    tokens: tuple[TokenFigures, ...]
    binds: Mapping[DeviceId, int]
    topology: Mapping[DeviceId, list[DeviceId]]
    broken: int


class Service:
    """The rules over one book. One request is one transaction in the service's own thread.

    ``app`` is what signs requests of its HTTP API, ``url`` where that answered last.
    Nothing is answered or pushed before its transaction is on the disk. StoreError when it cannot be
    written. The operator's products and secrets are read anew at each request, secrets from that thread.
    """

    def __init__(
        self,
        book: Book,
        pool: ThreadPoolExecutor,
        sources: Sources,
        clock: Clock,
        settings: ServiceSettings,
    ) -> None:
        self.app = book.app
        self.url = book.url
        self._book = book
        self._pool = pool
        self._sources = sources
        self._clock = clock
        self._settings = settings
        self._sessions: dict[DeviceId, Session] = {}
        self._number = int.from_bytes(sources.entropy(3), "big")
        self._broken = 0
        self._turn = threading.Lock()  # whoever holds it uses the book

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        products: Callable[[], Mapping[str, Product]],
        product_secret: Callable[[Product], str | None],
        device_secret: Callable[[DeviceId], str | None],
        clock: Clock,
        settings: ServiceSettings | None = None,
        on_commit: Hook | None = None,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Service:
        """The service on ``service.db`` of an existing state directory; StoreError when it cannot be had.

        ``on_commit`` is called with ``before`` and ``after`` around each commit, in the service's thread.
        """
        pool = ThreadPoolExecutor(1, thread_name_prefix="service")
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(pool, Book, directory / FILE_NAME, entropy, on_commit)
        try:
            book = await asyncio.shield(opening)
        except BaseException:
            opening.add_done_callback(lambda done: _abandon(done, pool))
            raise
        sources = Sources(products, product_secret, device_secret, entropy)
        return cls(book, pool, sources, clock, settings or ServiceSettings())

    def configure(self, settings: ServiceSettings) -> None:
        """Run on these settings from the next request on."""
        self._settings = settings

    async def close(self) -> None:
        """End every session and close the file."""
        for session in list(self._sessions.values()):
            self.disconnect(session)
        await asyncio.get_running_loop().run_in_executor(self._pool, self._book.close)
        self._pool.shutdown()

    async def connect(self, device: DeviceId, deliver: Deliver, *, gateway: bool = True) -> Session:
        """Open the connection of a device that whoever calls has authenticated; a second one ends the first.

        InputRefused 521 or 522 when the device is deleted or disabled.
        """

        def enter(desk: Desk) -> None:
            with desk.book.transaction():
                rules_sessions.open_connection(desk, device, gateway=gateway)

        await self._run(enter)
        return self._admit(device, deliver, gateway=gateway)

    async def connect_signed(self, credentials: Credentials, deliver: Deliver) -> Session:
        """Open the connection of a direct device that proves its deviceSecret; InputRefused 401 or 403."""

        def enter(desk: Desk) -> DeviceId:
            with desk.book.transaction():
                device = rules_sessions.admit(desk, credentials)
                rules_sessions.open_connection(desk, device, gateway=False)
                return device

        return self._admit(await self._run(enter), deliver, gateway=False)

    def _admit(self, device: DeviceId, deliver: Deliver, *, gateway: bool) -> Session:
        self.kick(device)
        session = Session(platform.Origin(device, gateway), deliver)
        self._sessions[device] = session
        return session

    def kick(self, device: DeviceId) -> None:
        """End the connection of a device, telling it so (``/ext/error`` 427); nothing when it has none."""
        session = self._sessions.get(device)
        if session is not None:
            parcel = platform.report_takeover(device, self._next_id())
            session.deliver(parcel.topic, parcel.payload)
            self.disconnect(session)

    def disconnect(self, session: Session) -> None:
        """The connection is closed; who was online through it is offline."""
        if self._sessions.get(session.device) is session:
            del self._sessions[session.device]
        session.close()

    async def receive(self, session: Session, topic: str, payload: bytes) -> None:
        """Take one message of a connection: its reply and all pushes are delivered when this returns.

        Broken bytes are counted and get no reply, as does anything on a closed connection.
        """
        if session.is_closed:
            return
        try:
            parcels = await self._run(lambda desk: platform.receive(desk, session.origin, topic, payload))
        except FrameError:
            self._broken += 1
            return
        self._deliver(parcels)

    async def call(self, caller: Caller, path: str, params: object, api_ver: str = "1.0.8") -> Answer:
        """One call of the HTTP API, without HTTP; its pushes are delivered when this returns."""
        answer = await self._run(lambda desk: api.call(desk, caller, path, params, api_ver))
        self._deliver([platform.pack(push) for push in answer.pushes])
        return answer

    async def serve(self, ask: Ask) -> Answer:
        """One request of the HTTP API, whose signature is checked; its pushes are delivered on return."""
        answer = await self._run(partial(api.serve, ask=ask), reading=ask.path in api.READERS)
        self._deliver([platform.pack(push) for push in answer.pushes])
        return answer

    async def check_session(self, ask: Ask) -> Answer:
        """Success, when the iotToken of a request is that of an open session."""
        return await self._run(partial(api.check_session, ask=ask), reading=True)

    async def manage(self, device: DeviceId, verb: str) -> None:
        """Disable, enable or delete a device, as the platform's console would; InputRefused 460 or 6100."""

        def manage(desk: Desk) -> Answer:
            with desk.book.transaction():
                return rules_sessions.manage(desk, device, verb)

        answer = await self._run(manage)
        self._deliver([platform.pack(push) for push in answer.pushes])
        session = self._sessions.get(device)
        if session is not None and verb != "enable":
            self.disconnect(session)

    async def create_account(self, name: str) -> Account:
        """A new account; InputRefused 460 for a name that is none, 409 for one that is taken."""
        if not 0 < len(name) <= LONGEST_ACCOUNT or not name.isprintable():
            raise InputRefused(f"an account's name has 1 to {LONGEST_ACCOUNT} printable characters")

        def create(desk: Desk) -> Account:
            mint = desk.sources.mint
            account = Account(name, identity=mint(16), home=mint(12), auth_code=mint(16))
            with desk.book.transaction():
                if not desk.book.accounts.add(
                    name, account.identity, account.home, rules_accounts.digest(account.auth_code)
                ):
                    raise InputRefused(f"there is an account named {name} already", code=409)
            return account

        return await self._run(create)

    async def note_url(self, url: str) -> None:
        """Keep where it answers HTTP, for the accounts that are made from now on."""

        def note(desk: Desk) -> None:
            with desk.book.transaction():
                desk.book.note_url(url)

        if url != self.url:
            self.url = url
            await self._run(note)

    def iot_id(self, device: DeviceId) -> str:
        """The iotId of any device, as the API and registrations tell it."""
        return self._book.devices.iot_id(device)

    async def find_account(self, auth_code: str) -> Caller | None:
        """The caller behind an account's code, for whoever opens sessions; None when there is none."""

        def find(desk: Desk) -> tuple[str, str] | None:
            with desk.book.transaction():
                return desk.book.accounts.find(rules_accounts.digest(auth_code))

        found = await self._run(find)
        return Caller(*found) if found else None

    async def figures(self) -> Figures:
        """What was counted so far; all but ``broken`` survives a restart."""

        def read(desk: Desk) -> Figures:
            book = desk.book
            with book.transaction():
                return Figures(
                    tuple(book.tokens.figures()), book.devices.binds(), book.topology.all(), self._broken
                )

        return await self._run(read)

    async def _run(self, work: Callable[[Desk], T], *, reading: bool = False) -> T:
        """Do the work in the service's thread; what only reads, here and now, while that has nothing to do.

        A read takes some ten microseconds, handing it over and back takes many times that.
        """
        now = Now(self._clock.boot(), self._clock.boot_id, self._clock.utc())
        live = frozenset(self._sessions)
        desk = Desk(
            self._book, self._sources.products(), self._sources, self._settings, now, live, self._next_id
        )
        if reading and self._turn.acquire(blocking=False):
            try:
                return work(desk)
            finally:
                self._turn.release()

        def take_turn() -> T:
            with self._turn:
                return work(desk)

        return await asyncio.get_running_loop().run_in_executor(self._pool, take_turn)

    def _next_id(self) -> str:
        self._number = (self._number + 1) % 2**32
        return str(self._number)

    def _deliver(self, parcels: list[platform.Parcel]) -> None:
        for parcel in parcels:
            session = self._sessions.get(parcel.carrier)
            if session is not None:
                session.deliver(parcel.topic, parcel.payload)


def _abandon(opening: asyncio.Future[Book], pool: ThreadPoolExecutor) -> None:
    """Close a book that nobody waits for any more, and end its thread."""
    if not opening.cancelled() and opening.exception() is None:
        asyncio.get_running_loop().run_in_executor(pool, opening.result().close)
    pool.shutdown(wait=False)
