"""Records of pcap and BTSnoop files.

Sources: draft-ietf-opsawg-pcap, sections 4 and 5; RFC 1761 with the Bluetooth datalinks of BTSnoop.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from agent.codec.record import HCI_EVENT, OTHER, Buffer, CaptureTruncated, Record, UnknownFormat

# magic as it stands in the file -> byte order, seconds per fraction
PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
PCAP_HEADER, PCAP_RECORD = 24, 16

BTSNOOP_MAGIC = b"btsnoop\0"
BTSNOOP_HEADER, BTSNOOP_RECORD = 16, 24
BTSNOOP_EPOCH = 0x00DCDDB30F2F8000  # microseconds from the year 0 to 1970
PLAIN_HCI, H4, MONITOR = 1001, 1002, 2001
H4_LINK_TYPE = 187
FLAG_RECEIVED, FLAG_COMMAND_OR_EVENT = 1, 2
MONITOR_EVENT = 3


def read_pcap(buffer: Buffer) -> Iterator[Record]:
    """The records of a pcap file, in either byte order, with micro- or nanoseconds.

    CaptureTruncated when the file ends inside a record or a length reaches beyond it.
    """
    order, unit = PCAP_MAGIC[buffer[:4]]
    size = len(buffer)
    if size < PCAP_HEADER:
        raise CaptureTruncated(f"the pcap header has {PCAP_HEADER} octets, {size} are there")
    (word,) = struct.unpack_from(order + "I", buffer, 20)
    unpack = struct.Struct(order + "IIII").unpack_from
    at = PCAP_HEADER
    while at + PCAP_RECORD <= size:
        seconds, fraction, length, _ = unpack(buffer, at)
        start = at + PCAP_RECORD
        at = start + length
        if at > size:
            raise CaptureTruncated(f"packet of {length} octets, {size - start} are left in the file")
        yield seconds + fraction * unit, word, start, at
    if at < size:
        raise CaptureTruncated(f"{size - at} octets are left in the file, a packet header has {PCAP_RECORD}")


def read_btsnoop(buffer: Buffer) -> Iterator[Record]:
    """The records of a BTSnoop file of datalink 1001 (HCI), 1002 (H4) or 2001 (Linux monitor).

    CaptureTruncated as for pcap; UnknownFormat for another version or datalink.
    """
    size = len(buffer)
    if size < BTSNOOP_HEADER:
        raise CaptureTruncated(f"the BTSnoop header has {BTSNOOP_HEADER} octets, {size} are there")
    version, datalink = struct.unpack_from(">II", buffer, 8)
    if version != 1 or datalink not in (PLAIN_HCI, H4, MONITOR):
        raise UnknownFormat(f"BTSnoop version {version}, datalink {datalink}: only 1 with 1001, 1002, 2001")
    unpack = struct.Struct(">IIIIq").unpack_from
    at = BTSNOOP_HEADER
    while at + BTSNOOP_RECORD <= size:
        _, length, flags, _, micros = unpack(buffer, at)
        start = at + BTSNOOP_RECORD
        at = start + length
        if at > size:
            raise CaptureTruncated(f"packet of {length} octets, {size - start} are left in the file")
        yield (micros - BTSNOOP_EPOCH) / 1e6, _kind(datalink, flags), start, at
    if at < size:
        raise CaptureTruncated(f"{size - at} octets are left in the file, a record has {BTSNOOP_RECORD}")


def _kind(datalink: int, flags: int) -> int:
    if datalink == H4:
        return H4_LINK_TYPE
    if datalink == PLAIN_HCI:
        return HCI_EVENT if flags & 3 == FLAG_RECEIVED | FLAG_COMMAND_OR_EVENT else OTHER
    return HCI_EVENT if flags & 0xFFFF == MONITOR_EVENT else OTHER
