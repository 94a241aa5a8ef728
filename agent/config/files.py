"""From files to settings: the main file, its drop-ins, the product files.

Each file is checked by itself first, so that every problem has its file and line; then they are merged.
"""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

from agent.config import options, product_options
from agent.config.rules import check_product, check_product_ids, check_together
from agent.config.settings import (
    ApiSettings,
    CloudSettings,
    LogSettings,
    Network,
    PermitSettings,
    RadioSettings,
    SecretSettings,
    ServiceSettings,
    Settings,
)
from agent.config.sheet import Document, Place, Problem, Sheet, check, merge
from agent.errors import ConfigError
from agent.model import DeviceId, Product
from agent.toml_lines import find_lines

AT = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$")


def load(path: Path) -> Settings:
    """The settings of ``path``, of ``<path>.d/*.toml`` by name, and of ``products.d/*.toml`` beside it.

    All or nothing: ConfigError, one line ``file:line: key: sentence`` for each problem of all files.
    """
    problems: list[Problem] = []
    main = _read(path, problems)
    drop_ins = _read_all(path.with_name(path.name + ".d"), problems)
    all_read = not problems

    sheets = [check(document, options.TREE, problems) for document in drop_ins]
    base = check(main, options.TREE, problems) if main else Sheet(path)
    sheet = merge(base, sheets, problems)
    if all_read:  # what a file lacks may stand in one that could not be read
        problems += check_together(sheet)
    products = _check_products(_read_all(path.parent / "products.d", problems), problems)
    if problems:
        raise ConfigError("\n".join(map(str, _order(problems))))
    return _build(sheet, products)


def _order(problems: list[Problem]) -> list[Problem]:
    files = {problem.place.file: number for number, problem in reversed(list(enumerate(problems)))}
    return sorted(problems, key=lambda problem: (files[problem.place.file], problem.place.line or 0))


def _read_all(directory: Path, problems: list[Problem]) -> list[Document]:
    try:
        files = sorted(f for f in directory.iterdir() if f.suffix == ".toml" and not f.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(Problem(Place(directory), (), f"cannot be read: {error.strerror}"))
        return []
    return [document for file in files if (document := _read(file, problems))]


def _read(file: Path, problems: list[Problem]) -> Document | None:
    """The parsed file, or None and one problem."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            problems.append(Problem(Place(file), (), "is not a file"))
            return None
        data = file.read_bytes()
        text = data.decode("utf-8-sig")
        return Document(file, tomllib.loads(text), find_lines(text))
    except OSError as error:
        problems.append(Problem(Place(file), (), f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(Problem(Place(file, line), (), "is not UTF-8; save the file as UTF-8"))
    except ValueError as error:
        problems.append(_explain_syntax(file, text, str(error)))
    except RecursionError:
        problems.append(Problem(Place(file), (), "is nested too deeply"))
    return None


def _explain_syntax(file: Path, text: str, message: str) -> Problem:
    match = AT.search(message)
    number = match[1] if match else None
    line = int(number) if number else text.rstrip().count("\n") + 1
    words = AT.sub("", message)
    return Problem(Place(file, line), (), f"is not TOML: {words[:1].lower()}{words[1:]}")


def _check_products(documents: list[Document], problems: list[Problem]) -> dict[str, Product]:
    good = []
    for document in documents:
        before = len(problems)
        sheet = check(document, product_options.PRODUCT_TREE, problems)
        problems += check_product(sheet)
        if len(problems) == before:
            good.append(sheet)
    problems += check_product_ids(good)
    products = [_build_product(sheet) for sheet in good]
    return {product.product_key: product for product in products}


def _build_product(sheet: Sheet) -> Product:
    product_key = sheet.get(product_options.PRODUCT_KEY)
    return Product(
        product_key=product_key,
        name=sheet.get(product_options.NAME) or product_key,
        net_type=sheet.get(product_options.NET_TYPE),
        product_ids=sheet.get(product_options.PRODUCT_IDS),
        node_type=sheet.get(product_options.NODE_TYPE),
        category=sheet.get(product_options.CATEGORY),
        security=sheet.get(product_options.SECURITY),
        published=sheet.get(product_options.PUBLISHED),
        secret=sheet.get(product_options.SECRET),
    )


def _build(sheet: Sheet, products: dict[str, Product]) -> Settings:
    return Settings(
        gateway=DeviceId(sheet.get(options.GATEWAY_PRODUCT_KEY), sheet.get(options.GATEWAY_DEVICE_NAME)),
        ble=RadioSettings(sheet.get(options.BLE_RADIOS)),
        wifi=RadioSettings(sheet.get(options.WIFI_RADIOS)),
        networks={name: _build_network(sheet, name) for name in sheet.names("networks")},
        cloud=CloudSettings(sheet.get(options.CLOUD_LINK), _build_api(sheet)),
        service=ServiceSettings(
            listen=sheet.get(options.LISTEN),
            found_interval=sheet.get(options.FOUND_INTERVAL),
            token_life=sheet.get(options.TOKEN_LIFE),
            bind_window=sheet.get(options.BIND_WINDOW),
            tls_certificate=_find_path(sheet, sheet.get(options.TLS_CERTIFICATE)),
            tls_key=_find_path(sheet, sheet.get(options.TLS_KEY)),
        ),
        permits=PermitSettings(sheet.get(options.CEILING)),
        secrets=SecretSettings(_find_path(sheet, sheet.get(options.SECRETS_DIRECTORY))),
        log=LogSettings(sheet.get(options.LOG_LEVEL)),
        products=products,
    )


def _build_network(sheet: Sheet, name: str) -> Network:
    return Network(
        name=name,
        ssid=sheet.get(options.NETWORK_SSID, name) or sheet.get(options.NETWORK_SSID_HEX, name) or b"",
        bssid=sheet.get(options.NETWORK_BSSID, name),
        passphrase=sheet.get(options.NETWORK_PASSPHRASE, name),
        default=sheet.get(options.NETWORK_DEFAULT, name),
    )


def _build_api(sheet: Sheet) -> ApiSettings | None:
    if ("cloud", "api") not in sheet.places:
        return None
    return ApiSettings(
        url=sheet.get(options.API_URL),
        app_key=sheet.get(options.API_APP_KEY),
        home_id=sheet.get(options.API_HOME_ID),
        auth_code=sheet.get(options.API_AUTH_CODE),
    )


def _find_path(sheet: Sheet, path: Path | None) -> Path | None:
    return sheet.file.parent / path if path else None
