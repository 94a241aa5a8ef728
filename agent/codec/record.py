"""What all capture readers share: a record, the buffer it lies in, and how a capture can be wrong."""

from __future__ import annotations

import mmap

from agent.errors import FrameError

Buffer = bytes | mmap.mmap

Record = tuple[float, int, int, int]
"""Seconds, link-type word, start, end: the packet is ``buffer[start:end]``. Nothing is copied.

The word is the LINKTYPE of the tcpdump.org registry, of a pcap file with the FCS bits above it, or one
of ours below zero. The seconds are since 1970 where the capture says so, else 0.
"""

OTHER = -1  # a packet of a kind that we do not read
BROKEN = -2  # a packet whose place in the capture is corrupt
JSON_LINE = -3
HCI_EVENT = -4  # an HCI event without a packet type in front


class CaptureBroken(FrameError):
    """The capture cannot be read on; the records before it were."""


class CaptureTruncated(CaptureBroken):
    """The capture ends in the middle of a record."""


class UnknownFormat(CaptureBroken):
    """The file is no capture that we can read."""
