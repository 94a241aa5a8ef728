"""Which calls the HTTP API has, and how each is written (cloud-http-api.md 3 and 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.errors import InputRefused

PATH = re.compile(r"(?:/[A-Za-z0-9_.~-]+)+")
WITHOUT_SESSION = ("/account/", "/living/account/")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path: ``version`` and ``language`` as its samples have them.

    ``repeatable``: asking twice does what asking once does, so a lost answer may be asked for again.
    """

    path: str
    api_ver: str
    version: str = "1.0"
    language: str | None = None
    repeatable: bool = False

    @property
    def needs_session(self) -> bool:
        """False for the calls that make sessions."""
        return not self.path.startswith(WITHOUT_SESSION)


@dataclass(frozen=True, slots=True)
class Call:
    """One call; every repeat of it has this ``id``, and so the same body."""

    endpoint: Endpoint
    params: Mapping[str, object] = field(repr=False)  # they carry bind tokens and authCodes
    id: str


LIST = Endpoint("/awss/enrollee/list/get", "1.0.7", repeatable=True)
FILTER = Endpoint("/awss/enrollee/product/filter", "1.0.7", repeatable=True)
CHECK = Endpoint("/awss/token/check", "1.0.9", repeatable=True)
BIND = Endpoint("/awss/token/user/bind", "1.0.8", "1.0.0", "en-US")
WINDOW_BIND = Endpoint("/awss/time/window/user/bind", "1.0.8", "1.0.0", "en-US")
CIPHER = Endpoint("/awss/cipher/get", "1.0.7", repeatable=True)
PERMIT = Endpoint("/thing/gateway/permit", "1.0.2")  # a repeat would start the window anew
REMOVE = Endpoint("/thing/topo/remove", "1.0.2")
CHECKIN = Endpoint("/awss/enrollee/checkin", "1.0.7")  # ours (DESIGN 5)
LOGIN = Endpoint("/account/createSessionByAuthCode", "1.0.4", language="en-US", repeatable=True)
REFRESH = Endpoint("/account/checkOrRefreshSession", "1.0.4", language="en-US", repeatable=True)
LOGOUT = Endpoint("/iotx/account/invalidSession", "1.0.4", language="en-US", repeatable=True)

KNOWN = {
    endpoint.path: endpoint
    for endpoint in (
        *(LIST, FILTER, CHECK, BIND, WINDOW_BIND, CIPHER, PERMIT, REMOVE, CHECKIN),
        *(LOGIN, REFRESH, LOGOUT),
    )
}


def find_endpoint(path: str, api_ver: str | None = None) -> Endpoint:
    """The call at a path; one that is not known is never repeated. InputRefused for what is no path.

    ``api_ver`` None is the version of the documents, 1.0.0 where they have none.
    """
    if not PATH.fullmatch(path):
        raise InputRefused("a path of the API is like /awss/token/check: letters, digits and - . _ ~ /")
    endpoint = KNOWN.get(path) or Endpoint(path, "1.0.0")
    return endpoint if api_ver is None else replace(endpoint, api_ver=api_ver)
