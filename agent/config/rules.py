"""Rules that hold between options, checked on the files together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.config import options, product_options
from agent.config.sheet import Problem, Sheet, fill, find_missing
from agent.config.values import is_loopback, split_address

SIMULATED = "simulated"


def check_together(sheet: Sheet) -> Iterator[Problem]:
    """What is wrong with the merged files though each file by itself is right."""
    yield from find_missing(sheet, options.OPTIONS_OUTSIDE_NETWORKS)
    for name in sheet.names("networks"):
        yield from _check_ssid(sheet, name)
    yield from _check_defaults(sheet)
    yield from _check_simulated(sheet)
    yield from _check_tls(sheet)


def _check_ssid(sheet: Sheet, name: str) -> Iterator[Problem]:
    ssid = fill(options.NETWORK_SSID.path, name)
    as_hex = fill(options.NETWORK_SSID_HEX.path, name)
    if sheet.has(ssid) and sheet.has(as_hex):
        yield Problem(
            sheet.place(as_hex), as_hex, f"ssid is set too, at {sheet.place(ssid)}; keep one of the two"
        )
    elif not any(sheet.has(path) or sheet.is_spoilt(path) for path in (ssid, as_hex)):
        yield Problem(sheet.place(ssid), ssid, "is missing; write ssid as text, or ssid_hex as hex digits")


def _check_defaults(sheet: Sheet) -> Iterator[Problem]:
    paths = [fill(options.NETWORK_DEFAULT.path, name) for name in sheet.names("networks")]
    marked = [path for path in paths if sheet.values.get(path) is True]
    for path in marked[1:]:
        sentence = f"a network is the default already, at {sheet.place(marked[0])}; keep one of the two"
        yield Problem(sheet.place(path), path, sentence)


def _check_simulated(sheet: Sheet) -> Iterator[Problem]:
    """A simulated home must not report itself to the vendor's cloud (DESIGN 5)."""
    link = options.CLOUD_LINK.path
    if sheet.values.get(link) != "mqtt":
        return
    for option in (options.BLE_RADIOS, options.WIFI_RADIOS):
        if sheet.has(option.path) and SIMULATED in sheet.get(option):
            sentence = (
                f'has "simulated", which does not go with cloud.link = "mqtt" ({sheet.place(link)}); '
                'use "embedded" or a real radio'
            )
            yield Problem(sheet.place(option.path), option.path, sentence)


def _check_tls(sheet: Sheet) -> Iterator[Problem]:
    """TLS takes both files, and an address beyond loopback takes TLS (DESIGN 5)."""
    both = (options.TLS_CERTIFICATE, options.TLS_KEY)
    given = [option.path for option in both if sheet.has(option.path)]
    if any(sheet.is_spoilt(option.path) for option in both):
        return
    if len(given) == 1:
        yield Problem(
            sheet.place(given[0]), given[0], "is one of two; write tls_certificate and tls_key, or neither"
        )
    listen = options.LISTEN.path
    address = split_address(sheet.get(options.LISTEN)) if sheet.has(listen) else None
    if not given and address is not None and not is_loopback(address[0]):
        sentence = "is beyond loopback, which needs TLS; set tls_certificate and tls_key too"
        yield Problem(sheet.place(listen), listen, sentence)


def check_product(sheet: Sheet) -> Iterator[Problem]:
    """What is wrong with one product file as a whole."""
    yield from find_missing(sheet, product_options.PRODUCT_OPTIONS)
    path = product_options.PRODUCT_KEY.path
    stem = sheet.file.name.removesuffix(".toml")
    if sheet.has(path) and sheet.get(product_options.PRODUCT_KEY) != stem:
        yield Problem(sheet.place(path), path, f"is not the file's name; rename the file or write {stem!r}")


def check_product_ids(sheets: Sequence[Sheet]) -> Iterator[Problem]:
    """Product ids that two products claim: an advertisement could not be told apart."""
    path = product_options.PRODUCT_IDS.path
    first: dict[int, Sheet] = {}
    for sheet in sheets:
        for index, product_id in enumerate(sheet.get(product_options.PRODUCT_IDS)):
            other = first.setdefault(product_id, sheet)
            if other is not sheet:
                sentence = f"0x{product_id:08x} belongs to the product of {other.place(path)} already"
                yield Problem(sheet.place((*path, index)), (*path, index), sentence)
