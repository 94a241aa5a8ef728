"""One signed exchange with the HTTP API: sent once, and what came back (cloud-http-api.md 1 and 2)."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cloud.api_calls import Call
from agent.codec import apigw
from agent.codec.apigw_envelope import Response, read_response
from agent.errors import CloudBusy, CloudRefused, ConfigError, FrameError
from agent.ports import Clock

if TYPE_CHECKING:
    import ssl

PATIENCE = 20.0  # seconds for an exchange; the slowest call answers within 15 (section 4.4)
CONNECT_PATIENCE = 10.0
LONGEST_BODY = 1024 * 1024
LONGEST_SENTENCE = 400
SECRET_PARAMS = ("token", "authCode", "iotToken", "refreshToken")
SHORTEST_SECRET = 6  # less would blot out ordinary words


class Undone(CloudBusy):
    """The request was certainly not carried out: repeating it is harmless."""


class Unreachable(Undone):
    """There is no connection to the API."""


class Unanswered(CloudBusy):
    """The request may have been carried out, but no answer of the API came."""


class HttpRefused(CloudRefused):
    """The gateway before the API turned the request away; ``code`` is the HTTP status."""


@dataclass(frozen=True, slots=True)
class Installer:
    """Whose calls these are: an app and an account; ``home_id`` None is the account's own home."""

    app_key: str
    app_secret: str = field(repr=False)
    auth_code: str = field(repr=False)
    home_id: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """How the API is reached; ``proxy`` is a URL, ``trust_env`` takes it from the environment."""

    url: str
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)  # it may hold a password
    trust_env: bool = False
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class ApiLine:
    """Signs, sends and reads one request at a time, each on a connection of its own.

    Calls are rare, and a kept connection that the server has just closed would make every call that must
    not be repeated fail. aiohttp is loaded by the first exchange.
    """

    def __init__(self, route: Route, installer: Installer, clock: Clock, nonce: Callable[[], str]) -> None:
        self.installer = installer
        self._route = route
        self._clock = clock
        self._nonce = nonce
        self._trust: ssl.SSLContext | None = None

    async def exchange(self, call: Call, iot_token: str | None) -> Response:
        """The envelope of the answer, whatever its code; secrets that its message echoes are blotted out.

        Unreachable, Undone (HTTP 429), Unanswered (5xx, silence, something that is not the API), HttpRefused.
        """
        endpoint = call.endpoint
        request = apigw.build_request(
            endpoint.path,
            call.params,
            app_key=self.installer.app_key,
            app_secret=self.installer.app_secret,
            api_ver=endpoint.api_ver,
            iot_token=iot_token,
            request_id=call.id,
            nonce=self._nonce(),
            date=apigw.format_date(self._clock.utc()),
            version=endpoint.version,
            language=endpoint.language,
        )
        answer = await self._post(request)
        hidden = [self.installer.app_secret, iot_token or "", *_secrets_in(call.params)]
        response = self._read(endpoint.path, answer, hidden)
        return replace(
            response, message=_tell(response.message, hidden), localized=_tell(response.localized, hidden)
        )

    def _read(self, path: str, answer: _Answer, hidden: list[str]) -> Response:
        sentence = f"{path}: HTTP status {answer.status}" + _tell(_find_reason(answer), hidden)
        if answer.status == 429:
            raise Undone(sentence)
        if answer.status >= 500:
            raise Unanswered(sentence)
        if answer.status != 200:
            skew = _explain_clock(answer.headers.get("date", ""), self._clock.utc())
            raise HttpRefused(answer.status, sentence + skew)
        try:
            return read_response(answer.body)
        except FrameError:
            raise Unanswered(f"{path}: what answers at {self._route.url} is not the API") from None

    async def _post(self, request: apigw.SignedRequest) -> _Answer:
        import aiohttp

        place = f"{self._route.url}{request.path}"
        try:
            return await self._send(request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(f"{place}: no connection: {error}") from error
        except aiohttp.ClientHttpProxyError as error:
            raise Unreachable(f"{place}: the proxy refuses: HTTP status {error.status}") from None
        except ValueError as error:  # of aiohttp: an address that is none, a line feed in the app key
            raise ConfigError(f"{place}: this cannot be asked: {error}") from error
        except TimeoutError as error:
            raise Unanswered(f"{place}: no answer within {self._route.patience:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(f"{place}: no answer: {error or type(error).__name__}") from error

    async def _send(self, request: apigw.SignedRequest) -> _Answer:
        import aiohttp
        from yarl import URL

        patience = aiohttp.ClientTimeout(self._route.patience, connect=CONNECT_PATIENCE)
        connector = aiohttp.TCPConnector(force_close=True, ssl=self._find_trust())
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=patience,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=self._route.trust_env,
                auto_decompress=False,
            ) as http,
            http.post(
                URL(self._route.url + request.path, encoded=True),
                data=request.body,
                headers=[("Accept-Encoding", "identity"), *request.headers],
                proxy=self._route.proxy,
                allow_redirects=False,  # a session goes to nobody else
            ) as response,
        ):
            headers = {name.lower(): value for name, value in response.headers.items()}
            return _Answer(response.status, headers, await _read_body(response.content.iter_any()))

    def _find_trust(self) -> ssl.SSLContext | bool:
        """What vouches for the server: the given CA file, else the system's (True)."""
        if self._trust is None and self._route.ca_file is not None:
            import ssl

            try:
                self._trust = ssl.create_default_context(cafile=self._route.ca_file)
            except OSError as error:  # ssl's own errors are kinds of it
                raise ConfigError(f"{self._route.ca_file}: no CA certificates: {error}") from error
        return self._trust or True


async def _read_body(pieces: AsyncIterable[bytes]) -> bytes:
    """The body, or nothing when it is too long to be an envelope."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > LONGEST_BODY:
            return b""
    return bytes(body)


def _find_reason(answer: _Answer) -> str:
    """What a refusing gateway says, in its header or, as the embedded service does, in an envelope."""
    told = answer.headers.get(apigw.ERROR_MESSAGE.lower(), "")
    if not told:
        with suppress(FrameError):
            told = read_response(answer.body).message
    return told and f", {told}"


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            if name in SECRET_PARAMS and isinstance(member, str):
                yield member
            else:
                yield from _secrets_in(member)


def _tell(text: str, hidden: list[str]) -> str:
    """A server's words as part of a sentence: without our secrets, printable, and not endless."""
    for secret in hidden:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "(hidden)")
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST_SENTENCE])


def _explain_clock(server_date: str, utc: float) -> str:
    """What to add to a refusal when the two clocks are too far apart for any signature to be taken."""
    try:
        skew = utc - apigw.read_date(server_date)
    except FrameError:
        return ""
    if abs(skew) <= apigw.TOLERANCE:
        return ""
    side = "ahead of" if skew > 0 else "behind"
    return f"; the clock of this machine is {abs(skew):.0f} s {side} the server's: set it right (NTP)"
