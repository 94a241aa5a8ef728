"""Capture readers against scapy's writers, against files made by hand, and against cut and changed ones."""

from __future__ import annotations

import mmap
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.packet import Raw
from scapy.utils import PcapNgWriter, PcapWriter

from agent.codec import capture
from agent.codec.capture import CaptureBroken, CaptureTruncated, LineReader, UnknownFormat, read_records
from agent.codec.record import HCI_EVENT
from agent.errors import FrameError
from tests import captures

PACKETS = [(1_700_000_000.25, b"first"), (1_700_000_001.5, b""), (1_700_000_003.125, b"a third one")]

Read = list[tuple[float, int, bytes]]


def read_all(data: bytes) -> Read:
    return [(at, word, data[start:end]) for at, word, start, end in read_records(data)]


def read_until_broken(data: bytes) -> tuple[Read, CaptureBroken | None]:
    found = []
    try:
        for at, word, start, end in read_records(data):
            found.append((at, word, data[start:end]))
    except CaptureBroken as error:
        return found, error
    return found, None


def expected(word: int) -> Read:
    return [(at, word, data) for at, data in PACKETS]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("word", [105, 127, 0x44000069])
def test_reads_pcap(order: str, nano: bool, word: int) -> None:
    data = captures.pcap(PACKETS, word, order=order, nano=nano)
    assert read_all(data) == expected(word)
    assert capture.link_type(word) in (105, 127)


@pytest.mark.parametrize("endianness", "<>")
@pytest.mark.parametrize("nano", [False, True])
def test_reads_what_scapy_writes_as_pcap(tmp_path: Path, endianness: str, nano: bool) -> None:
    path = tmp_path / "capture.pcap"
    with PcapWriter(str(path), linktype=127, endianness=endianness, nano=nano) as writer:
        for at, data in PACKETS:
            packet = Raw(data)
            packet.time = at
            writer.write(packet)
    assert read_all(path.read_bytes()) == expected(127)


def test_reads_what_scapy_writes_as_pcapng(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    with PcapNgWriter(str(path)) as writer:
        for at, data in PACKETS:
            packet = Raw(data)
            packet.time = at
            writer.write(packet)
    found = read_all(path.read_bytes())
    assert [at for at, _, _ in found] == pytest.approx([at for at, _ in PACKETS])
    assert [(word, data) for _, word, data in found] == [(1, data) for _, data in PACKETS]


@pytest.mark.parametrize("order", "<>")
def test_reads_pcapng_with_several_interfaces(order: str) -> None:
    data = (
        captures.section(order)
        + captures.interface(127, order)
        + captures.interface(256, order, resolution=9)
        + captures.interface(105, order, resolution=0x80 | 10)
        + captures.block(5, b"statistics..", order)
        + captures.enhanced(0, 1_700_000_000_250_000, b"one", order)
        + captures.enhanced(1, 1_700_000_000_500_000_000, b"two", order)
        + captures.enhanced(2, 1_700_000_001 << 10, b"three", order)
        + captures.simple(b"four", order)
    )
    assert read_all(data) == [
        (1_700_000_000.25, 127, b"one"),
        (pytest.approx(1_700_000_000.5), 256, b"two"),
        (1_700_000_001.0, 105, b"three"),
        (1_700_000_001.0, 127, b"four"),
    ]


def test_reads_pcapng_with_sections_of_either_order() -> None:
    one = captures.section("<") + captures.interface(127, "<") + captures.enhanced(0, 1_000_000, b"one", "<")
    two = captures.section(">") + captures.interface(251, ">") + captures.enhanced(0, 2_000_000, b"two", ">")
    assert read_all(one + two + one) == [(1.0, 127, b"one"), (2.0, 251, b"two"), (1.0, 127, b"one")]


def test_a_simple_packet_ends_at_what_the_interface_keeps() -> None:
    head = captures.section() + captures.interface(127, kept=4)
    lying = captures.block(3, b"\x40\0\0\0" + b"abcd")  # 64 octets on the air, 4 kept
    assert read_all(head + lying) == [(0.0, 127, b"abcd")]


def test_reads_the_obsolete_packet_block() -> None:
    body = b"\0\0\0\0" + b"\0\0\0\0" + b"\x40\x42\x0f\0" + b"\3\0\0\0\3\0\0\0" + b"old"
    data = captures.section() + captures.interface(127) + captures.block(2, body)
    assert read_all(data) == [(1.0, 127, b"old")]


@pytest.mark.parametrize(
    "packet",
    [
        captures.enhanced(1, 0, b"no such interface"),
        captures.enhanced(0, 0, b"longer than its block", length=200),
        captures.enhanced(0, 0, b"", length=0xFFFFFFFF),
        captures.block(6, b"short"),
        captures.block(3, b""),
        captures.block(3, b"\xff\xff\xff\xff"),
        captures.block(2, b"short"),
    ],
)
def test_a_corrupt_packet_of_pcapng_is_told_and_passed(packet: bytes) -> None:
    good = captures.enhanced(0, 0, b"good")
    found = read_all(captures.section() + captures.interface(127) + packet + good)
    assert [word for _, word, _ in found] == [capture.BROKEN, 127]
    assert found[1][2] == b"good"


@pytest.mark.parametrize(
    "tail",
    [
        b"\6\0\0\0\0\0\0\0" + bytes(24),  # length 0
        b"\6\0\0\0\x0d\0\0\0" + bytes(24),  # no multiple of four
        b"\6\0\0\0\x10\0\0\0" + bytes(24),  # the length behind differs
        captures.block(1, b"shor"),
        captures.section()[:8] + b"\1\2\3\4" + captures.section()[12:],
    ],
)
def test_contradicting_lengths_end_a_pcapng(tail: bytes) -> None:
    data = captures.section() + captures.interface(127) + captures.enhanced(0, 0, b"good") + tail
    found, error = read_until_broken(data)
    assert [data for _, _, data in found] == [b"good"]
    assert error is not None
    assert not isinstance(error, CaptureTruncated)


def test_a_flood_of_interfaces_ends_a_pcapng() -> None:
    data = captures.section() + captures.interface(127) * 10_000
    with pytest.raises(CaptureBroken):
        list(read_records(data))


def test_reads_btsnoop() -> None:
    rows = [(at, 3, data) for at, data in PACKETS]
    assert read_all(captures.btsnoop(rows, 1002)) == expected(187)


def test_plain_hci_says_in_its_flags_what_is_an_event() -> None:
    rows = [(1.0, flags, b"x") for flags in range(4)]
    words = [word for _, word, _ in read_all(captures.btsnoop(rows, 1001))]
    assert words == [capture.OTHER] * 3 + [HCI_EVENT]


def test_the_monitor_says_by_its_opcode_what_is_an_event() -> None:
    rows = [(1.0, 1 << 16 | opcode, b"x") for opcode in range(6)]
    words = [word for _, word, _ in read_all(captures.btsnoop(rows, 2001))]
    assert [word != capture.OTHER for word in words] == [False, False, False, True, False, False]


def whole_captures() -> list[bytes]:
    pcapng = (
        captures.section()
        + captures.interface(127)
        + captures.enhanced(0, 9, b"12")
        + captures.simple(b"345")
    )
    return [
        captures.pcap(PACKETS),
        captures.pcap(PACKETS, order=">", nano=True),
        pcapng + captures.section(">") + captures.interface(105, ">") + captures.enhanced(0, 9, b"67", ">"),
        captures.btsnoop([(at, 3, data) for at, data in PACKETS]),
        b'{"hci":"04"}\n{"other":1}\n{"addr":"AA:BB:CC:DD:EE:FF","data":"0201"}',
    ]


@pytest.mark.parametrize("data", whole_captures(), ids=["pcap", "pcap-nano", "pcapng", "btsnoop", "lines"])
def test_a_cut_capture_gives_what_was_whole(data: bytes) -> None:
    whole = read_all(data)
    boundaries = 0
    for size in range(8, len(data)):
        found, error = read_until_broken(data[:size])
        assert found == whole[: len(found)]
        if error is None:
            boundaries += 1
        else:
            assert isinstance(error, CaptureTruncated), size
    # Only a cut between two records (for lines also before a line's end) can go unnoticed.
    assert boundaries <= 2 * len(whole) + 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"GIF89a..",
        b"0201060303b3fe",
        b"\xa1\xb2\xc3",
        b"\x0a\x0d\x0d",
        b"[1]\n",
        b" " * 5000 + b"{}",
    ],
)
def test_unknown_formats(data: bytes) -> None:
    with pytest.raises(UnknownFormat):
        read_records(data)


@pytest.mark.parametrize("head", [b"\0\0\0\2\0\0\x03\xea", b"\0\0\0\1\0\0\0\1"])
def test_btsnoop_of_another_kind_is_unknown(head: bytes) -> None:
    with pytest.raises(UnknownFormat):
        list(read_records(b"btsnoop\0" + head))


def test_reads_a_mapped_file_without_copying_it(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    path.write_bytes(captures.pcap(PACKETS))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert [(at, word, mapped[start:end]) for at, word, start, end in read_records(mapped)] == expected(
            127
        )


def test_blank_lines_are_no_records() -> None:
    data = b'\n  \n{"a":1}\r\n\n' + b" " * 300 + b'\n{"b":2}\n \n'
    assert [text.strip() for _, _, text in read_all(data)] == [b'{"a":1}', b'{"b":2}']


def drain(data: bytes) -> int:
    """Read a capture to its end and every packet in it; the number of records."""
    count, lines = 0, LineReader()
    try:
        for _, word, start, end in read_records(data):
            assert 0 <= start <= end <= len(data)
            count += 1
            read = capture.ADVERT_READERS.get(capture.link_type(word))
            try:
                if word == capture.JSON_LINE:
                    lines.read(data, start, end)
                elif read:
                    read(data, start, end)
            except FrameError:
                pass
    except CaptureBroken:
        pass
    return count


@pytest.mark.parametrize("data", whole_captures(), ids=["pcap", "pcap-nano", "pcapng", "btsnoop", "lines"])
def test_only_frame_errors_escape_from_changed_captures(data: bytes) -> None:
    dice = random.Random(3)
    assert drain(data) >= 3
    for _ in range(2000):
        changed = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            changed[dice.randrange(len(changed))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        # Each record takes octets of its own, so no lie about lengths makes more of them than that.
        assert drain(bytes(changed)) <= len(data)


@given(
    st.sampled_from(
        [b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", captures.section(), b"btsnoop\0\0\0\0\1\0\0\x03\xea", b"{"]
    ),
    st.binary(max_size=300),
)
def test_only_frame_errors_escape_from_noise(head: bytes, noise: bytes) -> None:
    drain(head + noise)
