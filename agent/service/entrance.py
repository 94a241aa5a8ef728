"""From a request of the HTTP API to its answer, without the transport (HTTP 1, 2.3, 5)."""

from __future__ import annotations

import http
from dataclasses import dataclass, field
from functools import partial

from agent.codec.apigw import ERROR_MESSAGE, METHOD, GatewayRefused, ReceivedRequest
from agent.codec.apigw_envelope import EnvelopeRefused, Response, build_response, read_request
from agent.errors import StoreError
from agent.ingress import Ingress
from agent.ports import Clock
from agent.service.api import BINDS, NO_ROUTE, PATHS, SESSION_PATHS
from agent.service.gate import Gate
from agent.service.repeats import Repeats, mark_of
from agent.service.service import Service
from agent.service.values import Answer, Ask

BACKEND_ERROR = 20004
ROUTES = PATHS.keys() | SESSION_PATHS.keys()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What goes back: status, the JSON envelope, further headers."""

    status: int
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()


def refuse(status: http.HTTPStatus, sentence: str, *headers: tuple[str, str]) -> HttpAnswer:
    """What the transport or the gateway layer refuses, as an envelope whose code is the HTTP status."""
    return HttpAnswer(status, build_response(Response(status, sentence)), headers)


class Entrance:
    """Answers requests; nothing but a cancellation ever comes out of it as an exception.

    Outside strict runs, where the ingress boundary raises again what it caught.
    """

    def __init__(self, service: Service, clock: Clock, ingress: Ingress, *, lab: bool = False) -> None:
        self._service = service
        self._gate = Gate(service.app, clock, lab=lab)
        self._ingress = ingress
        self._repeats = Repeats(clock)

    async def answer(self, request: ReceivedRequest) -> HttpAnswer:
        """The answer to one request whose body has arrived."""
        try:
            return await self._answer(request)
        except GatewayRefused as refusal:
            status = http.HTTPStatus(refusal.fault.status)
            return refuse(status, refusal.fault.text, (ERROR_MESSAGE, refusal.error_message))
        except StoreError:
            return refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "the service cannot write its state now")
        except Exception as error:  # noqa: BLE001  ingress boundary
            self._ingress.caught("http api", request.body, error)
            return _envelop(Answer(BACKEND_ERROR, "backend error"), "")

    async def _answer(self, request: ReceivedRequest) -> HttpAnswer:
        if request.method != METHOD:
            return refuse(http.HTTPStatus.METHOD_NOT_ALLOWED, "the method is POST", ("Allow", METHOD))
        path = request.target.partition("?")[0]
        if path not in ROUTES:
            return _envelop(NO_ROUTE, _read_id(request.body))
        app_key = self._gate.admit(request)
        try:
            call = read_request(request.body)
        except EnvelopeRefused as refusal:
            return _envelop(Answer(refusal.code, str(refusal)), refusal.id)
        ask = Ask(path, app_key, call.api_ver, call.iot_token, call.params)
        if path in BINDS:
            mark = mark_of(app_key, path, call.id, request.body)
            serve, check = self._service.serve, self._service.check_session
            return _envelop(await self._repeats.once(mark, partial(serve, ask), partial(check, ask)), call.id)
        return _envelop(await self._service.serve(ask), call.id)


def _envelop(answer: Answer, request_id: str) -> HttpAnswer:
    body = build_response(Response(answer.code, answer.message, answer.data, id=request_id))
    return HttpAnswer(http.HTTPStatus.OK, body)


def _read_id(body: bytes) -> str:
    """The id of a request that nobody serves, where it has one."""
    try:
        return read_request(body).id
    except EnvelopeRefused as refusal:
        return refusal.id
