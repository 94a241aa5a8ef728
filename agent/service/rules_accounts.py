"""Sessions of accounts: opening one by authCode, refreshing it, ending it (HTTP 3)."""

from __future__ import annotations

import hashlib

from agent.errors import InputRefused
from agent.service.book_logins import Pass
from agent.service.fields import read_object, read_optional, read_text
from agent.service.values import Answer, Ask, Caller, Desk

TOKEN_LIFE = 72000  # seconds
REFRESH_LIFE = 720000
ACCOUNT_TYPES = ("OA_SESSION", "OA_TOKEN")


def digest(secret: str) -> bytes:
    """What is kept of a code or a token; looking one up by it takes no time that tells of it."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def identify(desk: Desk, iot_token: str | None) -> Caller:
    """Whose session an iotToken is; InputRefused with the configured code when it is missing or void."""
    found = desk.book.logins.find(digest(iot_token), desk.now.utc) if iot_token else None
    if found is None:
        raise InputRefused("request auth error: iotToken is not valid", code=desk.settings.token_code)
    return Caller(*found)


def open_session(desk: Desk, ask: Ask) -> Answer:
    """``/account/createSessionByAuthCode``: tokens of a new session; 2461, 2462 or 403 when refused."""
    given = _read_request(ask)
    auth_code = read_text(given, "authCode")
    if read_optional(given, "accountType") not in ACCOUNT_TYPES:
        raise InputRefused(f"accountType invalid: it is {' or '.join(ACCOUNT_TYPES)}", code=2461)
    if read_optional(given, "appKey") not in (None, ask.app_key):
        raise InputRefused("forbidden: appKey is not the one that signed", code=403)
    account = desk.book.accounts.find(digest(auth_code))
    if account is None:
        raise InputRefused("authCode invalid", code=2462)
    identity, _ = account
    token, refresh = desk.sources.mint(16), desk.sources.mint(16)
    now = desk.now.utc
    given_pass = Pass(digest(token), now + TOKEN_LIFE, digest(refresh), now + REFRESH_LIFE)
    desk.book.logins.open(identity, given_pass, now)
    return Answer(data=_describe(identity, token, refresh, REFRESH_LIFE))


def refresh_session(desk: Desk, ask: Ask) -> Answer:
    """``/account/checkOrRefreshSession``: a new iotToken, the old one is void; 2401 when it cannot be had.

    The refreshToken stays, and so does its end.
    """
    given = _read_request(ask)
    identity, refresh = read_text(given, "identityId"), read_text(given, "refreshToken")
    until = desk.book.logins.refresh_until(identity, digest(refresh), desk.now.utc)
    if until is None:
        raise InputRefused("token or session invalid: log in again", code=2401)
    token = desk.sources.mint(16)
    desk.book.logins.renew(digest(refresh), digest(token), desk.now.utc + TOKEN_LIFE)
    return Answer(data=_describe(identity, token, refresh, int(until - desk.now.utc)))


def end_session(desk: Desk, ask: Ask) -> Answer:
    """``/iotx/account/invalidSession``: both tokens are void; 2459 when there is no such session.

    The session is named by identityId and refreshToken, or by its iotToken, in ``params.request`` or
    in the envelope.
    """
    given = _read_request(ask)
    refresh = read_optional(given, "refreshToken")
    if refresh is not None:
        ended = desk.book.logins.end_by_refresh(read_text(given, "identityId"), digest(refresh))
    else:
        token = read_optional(given, "iotToken") or read_text({"iotToken": ask.iot_token}, "iotToken")
        ended = desk.book.logins.end_by_token(digest(token))
    if not ended:
        raise InputRefused("session invalid", code=2459)
    return Answer()


def _read_request(ask: Ask) -> dict[str, object]:
    return read_object({} if ask.params.get("request") is None else ask.params["request"], "params.request")


def _describe(identity: str, token: str, refresh: str, refresh_life: int) -> dict[str, object]:
    return {
        "identityId": identity,
        "iotToken": token,
        "iotTokenExpire": TOKEN_LIFE,
        "refreshToken": refresh,
        "refreshTokenExpire": refresh_life,
    }
