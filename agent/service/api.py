"""The HTTP API's calls: path and parameters in, code, message and data out (cloud-http-api.md 4, 5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from agent.errors import InputRefused
from agent.service import rules_accounts, rules_cipher, rules_enrollees, rules_gateway, rules_tokens
from agent.service.values import Answer, Ask, Caller, Desk

Rule = Callable[[Desk, Caller, object], Answer]
SessionRule = Callable[[Desk, Ask], Answer]

BIND_PATH = "/awss/token/user/bind"
WINDOW_PATH = "/awss/time/window/user/bind"
PATHS: dict[str, Rule] = {
    "/awss/enrollee/list/get": rules_enrollees.list_enrollees,
    "/awss/enrollee/product/filter": rules_enrollees.filter_products,
    "/awss/enrollee/checkin": rules_enrollees.start_checkin,
    "/awss/token/check": rules_tokens.check_token,
    BIND_PATH: rules_tokens.bind_by_token,
    WINDOW_PATH: rules_tokens.bind_in_window,
    "/awss/cipher/get": rules_cipher.get_key,
    "/thing/gateway/permit": rules_gateway.permit,
    "/thing/topo/remove": rules_gateway.remove,
}
SESSION_PATHS: dict[str, SessionRule] = {
    "/account/createSessionByAuthCode": rules_accounts.open_session,
    "/account/checkOrRefreshSession": rules_accounts.refresh_session,
    "/iotx/account/invalidSession": rules_accounts.end_session,
}
READERS = {  # they change nothing on the disk, also when they succeed
    "/awss/enrollee/list/get",
    "/awss/enrollee/product/filter",
    "/awss/token/check",
    "/awss/cipher/get",
    "/thing/gateway/permit",
}
BINDS = (BIND_PATH, WINDOW_PATH)
NO_ROUTE = Answer(20003, "no backend route for this path")
VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){1,3}")
PLAIN_BIND = (1, 0, 8)  # up to this version the data of a bind is the iotId itself


def call(desk: Desk, caller: Caller, path: str, params: object, api_ver: str) -> Answer:
    """One call, committed or, when it is refused, without a trace."""

    def check() -> Caller:
        if not desk.book.accounts.has(caller.identity):
            raise InputRefused("identityId does not exist", code=2062)
        return caller

    return _perform(desk, check, path, params, api_ver)


def serve(desk: Desk, ask: Ask) -> Answer:
    """One request from outside: a call for the account whose iotToken it has, or one of the session calls."""
    rule = SESSION_PATHS.get(ask.path)
    if rule is None:
        return _perform(
            desk,
            lambda: rules_accounts.identify(desk, ask.iot_token),
            ask.path,
            ask.params,
            ask.api_ver,
        )
    try:
        _read_version(ask.api_ver)
        with desk.book.transaction():
            return rule(desk, ask)
    except InputRefused as refusal:
        return Answer(refusal.code, str(refusal))


def check_session(desk: Desk, ask: Ask) -> Answer:
    """Success when the iotToken is good, else what any call would answer."""
    try:
        with desk.book.transaction(reading=True):
            rules_accounts.identify(desk, ask.iot_token)
    except InputRefused as refusal:
        return Answer(refusal.code, str(refusal))
    return Answer()


def _perform(desk: Desk, identify: Callable[[], Caller], path: str, params: object, api_ver: str) -> Answer:
    rule = PATHS.get(path)
    if rule is None:
        return NO_ROUTE
    try:
        version = _read_version(api_ver)
        with desk.book.transaction(reading=path in READERS):
            answer = rule(desk, identify(), params)
    except InputRefused as refusal:
        return Answer(refusal.code, str(refusal))
    if path in BINDS and version > PLAIN_BIND:
        data = {"iotId": answer.data, "categoryKey": _category(desk, params), "pageRouterUrl": ""}
        return Answer(answer.code, answer.message, data, answer.pushes)
    return answer


@lru_cache(maxsize=64)  # what is refused is never kept
def _read_version(text: str) -> tuple[int, ...]:
    if not VERSION.fullmatch(text) or not text.isascii():
        raise InputRefused("request parameter error: apiVer must be dotted numbers")
    return tuple(int(part) for part in text.split("."))


def _category(desk: Desk, params: object) -> str:
    product = desk.products.get(str(params["productKey"])) if isinstance(params, dict) else None
    return product.category if product else ""
