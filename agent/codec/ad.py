"""Advertising data: finding and reading the manufacturer data of company 0x01A8, and building it.

Sources: ble-breeze.md sections 1, 2 and 12; where they leave a choice, DESIGN 3 (the rule by nibble).
"""

from __future__ import annotations

from agent.errors import FrameError
from agent.model import COMPANY_ID, BleRecord, Generation, Signature

MANUFACTURER = 0xFF
FLAGS = b"\x02\x01\x06"
SERVICES = b"\x03\x03\xb3\xfe"
COMPLETE_NAME = 0x09
MARK = bytes((MANUFACTURER,)) + COMPANY_ID

BEACONS = (1, 9)
NIBBLES = {
    Generation.A0: 3,
    Generation.A1: 4,
    Generation.B0: 5,
    Generation.B1: 6,
    Generation.C: 7,
    Generation.GENIE: 5,
}
PLAIN_SIZE = 14
SHORT_SIZE = 12
SIGNED_SIZE = 22


def find_manufacturer(ad: bytes) -> bytes | None:
    """The manufacturer data of company 0x01A8, from the company id on, or None when there is none.

    ``ad`` is a list of AD structures (advertising data, scan response, or both in a row); a length of
    zero ends it. FrameError when the structure that is ours reaches beyond the end (ble-breeze.md 2.1).
    """
    if MARK not in ad:
        return None
    at, size = 0, len(ad)
    while at + 4 <= size:
        length = ad[at]
        if length == 0:
            return None
        end = at + 1 + length
        if length >= 3 and ad.startswith(MARK, at + 1):
            if end > size:
                raise FrameError(f"manufacturer data of {length - 1} octets, only {size - at - 2} are there")
            return ad[at + 2 : end]
        at = end
    return None


def generation_of(octet: int) -> Generation | None:
    """The generation that byte 2 of the manufacturer data names, or None for none that we know (DESIGN 3)."""
    nibble, sub_type = octet & 0x0F, octet >> 4
    if nibble == 5:
        if sub_type >= 8:
            return Generation.GENIE
        return Generation.B0 if sub_type <= 2 else None
    if nibble in (3, 4):
        return (Generation.A0, Generation.A1)[nibble - 3] if sub_type == 0 else None
    if nibble == 6:
        return Generation.B1
    return Generation.C if nibble == 7 else None


def is_known(manufacturer: bytes) -> bool:
    """False when manufacturer data of ours names a generation that we do not know (`read` gives None)."""
    return len(manufacturer) < 3 or generation_of(manufacturer[2]) is not None


def read(manufacturer: bytes) -> BleRecord | None:
    """The record that manufacturer data of company 0x01A8 holds; None for a generation that we do not know.

    ``manufacturer`` starts with the company id. Octets behind the record are user data and ignored
    (ble-breeze.md 2.1, 2.2). FrameError when the record is cut short.
    """
    if not manufacturer.startswith(COMPANY_ID):
        return None
    if len(manufacturer) < 3:
        raise FrameError("manufacturer data ends behind the company id")
    generation = generation_of(manufacturer[2])
    if generation is None:
        return None
    sub_type = manufacturer[2] >> 4
    # The Genie beacon has the same record: the layout of section 2.7 is marked low and no sender was seen.
    size = SHORT_SIZE if generation is Generation.A0 else PLAIN_SIZE
    if len(manufacturer) < size:
        raise FrameError(f"record of {len(manufacturer)} octets, {generation} has {size}")
    fmsk = manufacturer[3]
    secured = bool(fmsk & (0x04 if generation is Generation.A0 else 0x08))
    return BleRecord(
        generation=generation,
        sub_type=sub_type,
        product_id=int.from_bytes(manufacturer[4 : size - 6], "little"),
        mac=manufacturer[size - 6 : size][::-1],
        fmsk=fmsk,
        secured=secured,
        secret=_secret(generation, fmsk) if secured else None,
        wants_wifi=_wants_wifi(generation, sub_type),
        bound=_bound(generation, fmsk),
        connectable=sub_type not in BEACONS,
        signature=_signature(generation, manufacturer),
    )


def read_advert(ad: bytes) -> BleRecord | None:
    """`find_manufacturer` and `read` in one step: the record in a list of AD structures, or None."""
    manufacturer = find_manufacturer(ad)
    return None if manufacturer is None else read(manufacturer)


def build_manufacturer(record: BleRecord, *, user_data: bytes = b"") -> bytes:
    """The manufacturer data from the company id on, as the device would send it (ble-breeze.md 2.2).

    ``sub_type``, ``fmsk``, ``product_id``, ``mac`` and ``signature`` are written as they are; the other
    fields follow from them and are not looked at.
    """
    short = record.generation is Generation.A0
    parts = [
        COMPANY_ID,
        bytes((record.sub_type << 4 | NIBBLES[record.generation], record.fmsk)),
        record.product_id.to_bytes(2 if short else 4, "little"),
        record.mac[::-1],
    ]
    if record.signature is not None:
        parts += [record.signature.sign, record.signature.sequence.to_bytes(4, "little")]
    return b"".join(parts) + user_data


def build(record: BleRecord, *, user_data: bytes = b"") -> bytes:
    """The complete advertising data: flags, service 0xFEB3, manufacturer data (ble-breeze.md 2.1)."""
    manufacturer = build_manufacturer(record, user_data=user_data)
    return FLAGS + SERVICES + bytes((len(manufacturer) + 1, MANUFACTURER)) + manufacturer


def build_scan_response(name: str) -> bytes:
    """The scan response, which holds the complete local name and nothing else (ble-breeze.md 2.1)."""
    text = name.encode()
    return bytes((len(text) + 1, COMPLETE_NAME)) + text


def _secret(generation: Generation, fmsk: int) -> str | None:
    if generation is Generation.A0:
        return None
    return "device" if fmsk & 0x10 else "product"


def _wants_wifi(generation: Generation, sub_type: int) -> bool:
    if generation is Generation.B0:
        return sub_type == 2
    if generation is Generation.B1:
        return sub_type in (2, 3)
    return generation is Generation.C and sub_type == 12


def _bound(generation: Generation, fmsk: int) -> bool | None:
    if generation is Generation.B1:
        return bool(fmsk & 0x40)
    if generation in (Generation.C, Generation.GENIE):
        return True if fmsk & 0x20 else None  # some builds never set it
    return None


def _signature(generation: Generation, manufacturer: bytes) -> Signature | None:
    """Bit 5 of B0 and B1, and only when the octets are there (ble-breeze.md 2.4, quirks)."""
    signed = generation in (Generation.B0, Generation.B1) and manufacturer[3] & 0x20
    if not signed or len(manufacturer) < SIGNED_SIZE:
        return None
    return Signature(manufacturer[14:18], int.from_bytes(manufacturer[18:22], "little"))
