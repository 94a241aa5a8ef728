"""The HTTP API of the provisioning service as methods: the eight documented calls, and ours to start one.

The vendor's cloud and the embedded service are the same to it (cloud-http-api.md).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from agent.cloud import api_calls, api_values
from agent.cloud.api_calls import Endpoint
from agent.cloud.api_line import ApiLine, Installer, Route, Unanswered
from agent.cloud.api_session import UNREADABLE, ApiSession
from agent.cloud.api_values import (
    Binding,
    EnrolleePage,
    OfferedDevice,
    StartedCheckin,
    TokenOwner,
)
from agent.codec.apigw_envelope import Response
from agent.errors import CloudRefused, FrameError
from agent.model import DeviceId
from agent.ports import Clock

T = TypeVar("T")

DELAYS = (1.0, 2.0, 4.0)  # seconds before each repeat
TOKEN_NOT_FOUND = 6608
LONGEST_PAGE = 99


def make_nonce() -> str:
    """32 new hex digits, as the official client makes them for nonces and ids."""
    return secrets.token_hex(16)


class ApiClient:
    """An installer's calls. Each raises CloudBusy, or CloudRefused with the API's code.

    What can never be sent is InputRefused (text that is not Unicode) or ConfigError (address, CA file).

    Calls that only ask are repeated after 5xx, 429 and silence; ``permit``, ``remove_subdevice`` and
    ``start_checkin`` only while they were certainly not carried out. Binds: see `bind_by_token`.
    """

    def __init__(
        self,
        route: Route,
        installer: Installer,
        clock: Clock,
        *,
        delays: Sequence[float] = DELAYS,
        nonce: Callable[[], str] = make_nonce,
        ids: Callable[[], str] = make_nonce,
    ) -> None:
        self._session = ApiSession(ApiLine(route, installer, clock, nonce), clock, ids, delays)
        self._home_id = installer.home_id

    async def call(self, path: str, params: Mapping[str, object], api_ver: str | None = None) -> Response:
        """The envelope that any path answers, whatever its code; ``api_ver`` None is the documented one."""
        endpoint = api_calls.find_endpoint(path, api_ver)
        return await self._session.exchange(self._session.prepare(endpoint, params))

    async def close(self) -> None:
        """Log out; the next call logs in again."""
        await self._session.close()

    async def list_enrollees(self, page: int = 1, size: int = LONGEST_PAGE) -> EnrolleePage:
        """One page, from 1 on, of what registrars of this account have on report."""
        params = {"pageSize": size, "pageNum": page}
        return await self._ask(api_calls.LIST, params, api_values.read_page)

    async def filter_products(self, devices: Sequence[DeviceId]) -> tuple[OfferedDevice, ...]:
        """Those of at most 50 devices that are bound to nobody and of a published product."""
        params = {"iotDevices": [_names(device) for device in devices]}
        return await self._ask(api_calls.FILTER, params, api_values.read_offers)

    async def check_token(self, token: str, device: DeviceId | None = None) -> TokenOwner:
        """Whose live token it is; CloudRefused 6608 when it is nobody's, or not that device's."""
        params = {"token": token} | ({} if device is None else _names(device))
        return await self._ask(api_calls.CHECK, params, api_values.read_owner)

    async def bind_by_token(self, device: DeviceId, token: str) -> Binding:
        """Bind a device by the token that it reported.

        A token is good once, so a bind whose answer got lost is not sent blindly again: while the token is
        alive nothing was bound, and the same body is sent once more; a token that is gone together with
        a device that the filter no longer offers is a bind that was carried out, else CloudRefused 6608.
        """
        params = self._home() | _names(device) | {"token": token}
        return await self._bind(api_calls.BIND, device, params, token)

    async def bind_in_window(self, device: DeviceId) -> Binding:
        """Bind a device that came online a short while ago; CloudRefused 6608 when that is too long ago.

        After a lost answer, a device that the filter no longer offers is bound.
        """
        return await self._bind(api_calls.WINDOW_BIND, device, self._home() | _names(device), None)

    async def get_key(
        self,
        cipher_type: int,
        random: bytes,
        *,
        device_name: str,
        product_key: str | None = None,
        product_id: str | None = None,
        mac: bytes | None = None,
    ) -> bytes:
        """The AES key of 16 octets for a device.

        ``random`` is 16 octets, ``mac`` 6 in display order; BLE devices have a product id, others a key.
        """
        named = {"deviceName": device_name, "productKey": product_key, "productId": product_id}
        device: dict[str, object] = {name: value for name, value in named.items() if value is not None}
        device |= {"cipherType": cipher_type, "random": random.hex()}
        device |= {"params": {} if mac is None else {"mac": mac.hex()}}
        return await self._ask(api_calls.CIPHER, {"deviceInfoForCipher": device}, api_values.read_key)

    async def permit(self, gateway_iot_id: str, product_key: str | None, seconds: int) -> None:
        """Open or close a gateway's window: 0 always, 1 to 65534 s, 65535 never; None is any product."""
        product = {} if product_key is None else {"productKey": product_key}
        await self._do(api_calls.PERMIT, {"iotId": gateway_iot_id} | product | {"time": seconds})

    async def remove_subdevice(self, gateway_iot_id: str, iot_id: str) -> None:
        """Take a sub-device out of a gateway's topology."""
        await self._do(api_calls.REMOVE, {"iotId": gateway_iot_id, "subIotId": iot_id})

    async def start_checkin(self, enrollee: str | DeviceId) -> StartedCheckin:
        """Have a registrar provision an enrollee, named by its id or its pair; embedded service only."""
        params = _names(enrollee) if isinstance(enrollee, DeviceId) else {"enrolleeId": enrollee}
        return await self._ask(api_calls.CHECKIN, params, api_values.read_checkin)

    async def _do(self, endpoint: Endpoint, params: Mapping[str, object]) -> object:
        return await self._session.ask(self._session.prepare(endpoint, params))

    async def _ask(self, endpoint: Endpoint, params: Mapping[str, object], read: Callable[[object], T]) -> T:
        data = await self._do(endpoint, params)
        try:
            return read(data)
        except FrameError as error:
            raise CloudRefused(UNREADABLE, f"{endpoint.path}: {error}") from error

    def _home(self) -> dict[str, object]:
        return {} if self._home_id is None else {"homeId": self._home_id}

    async def _bind(
        self, endpoint: Endpoint, device: DeviceId, params: Mapping[str, object], token: str | None
    ) -> Binding:
        call = self._session.prepare(endpoint, params)
        try:
            return api_values.read_binding(await self._session.ask(call))
        except Unanswered:
            if token is None and await self._is_bound(device):
                return Binding(None)
        try:
            if token is not None:
                await self.check_token(token, device)
            return api_values.read_binding(await self._session.ask(call))
        except CloudRefused as refusal:
            if refusal.code == TOKEN_NOT_FOUND and await self._is_bound(device):
                return Binding(None)
            raise

    async def _is_bound(self, device: DeviceId) -> bool:
        """Whether the filter leaves it out, as it does with bound devices (and with unpublished products)."""
        return all(offer.device != device for offer in await self.filter_products([device]))


def _names(device: DeviceId) -> dict[str, object]:
    return {"productKey": device.product_key, "deviceName": device.device_name}
