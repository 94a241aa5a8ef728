"""Which class an enrollee belongs to, by the configured products and the secrets that we hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.entries import Rank
from agent.model import BleRecord, Product, WifiRecord

Verify = Callable[[WifiRecord], bool | None]
"""True when the sign of an AA element fits the secret that we hold, False when not, None without one."""


class Catalog:
    """The configured products, by product key and by the product ids that BLE enrollees send."""

    def __init__(self, products: Mapping[str, Product], verify: Verify) -> None:
        self._verify = verify
        self._products = products
        self._by_product_id = {number: p for p in products.values() for number in p.product_ids}

    def replaced(self, products: Mapping[str, Product]) -> Catalog:
        """The same with other products."""
        return Catalog(products, self._verify)

    def product_of(self, record: BleRecord | WifiRecord) -> Product | None:
        """The configured product of a record, or None."""
        if isinstance(record, BleRecord):
            return self._by_product_id.get(record.product_id)
        return self._products.get(record.product_key)

    def rank_of(self, record: BleRecord | WifiRecord) -> Rank:
        """The class of a record; a wrong sign makes a stranger of anybody."""
        if isinstance(record, WifiRecord) and self._verify(record) is False:
            return Rank.STRANGER
        return Rank.OTHER if self.product_of(record) is None else Rank.CONFIGURED
