"""Every key of a product file ``products.d/<productKey>.toml``."""

from __future__ import annotations

from agent.config import values
from agent.config.options import REQUIRED, Option, make_tree

PRODUCT_KEY = Option(
    ("product_key",),
    values.product_key(),
    REQUIRED,
    "The product's key in the cloud; the file is named after it.",
    '"a1Bdn3wBulb"',
)
NET_TYPE = Option(
    ("net_type",),
    values.choose_number(0, 3, 4, 5, 6, 7, 8),
    REQUIRED,
    "How it reaches the cloud: 3 Wi-Fi (a direct device), 5 Bluetooth (a sub-device), 0 LoRa, 4 Zigbee, "
    "6 cellular, 7 Ethernet, 8 other. This decides who may let it in, never the advertisement.",
    "5",
)
PRODUCT_IDS = Option(
    ("product_ids",),
    values.several(values.product_id()),
    (),
    "The product ids in its Bluetooth advertisements; no two products share one.",
    '["0x000aa7ab"]',
)
NAME = Option(
    ("name",), values.line_of_text(0, 64), "", "Its name for people; empty: the product key.", '"Bulb"'
)
NODE_TYPE = Option(("node_type",), values.choose_number(0, 1), 0, "0 a device, 1 a gateway.")
CATEGORY = Option(
    ("category",), values.line_of_text(0, 64), "", "The category key that the API tells.", '"Light"'
)
SECURITY = Option(
    ("security",),
    values.choose("required", "none"),
    "required",
    'Whether a device must prove that it holds its secret; "none" lets unsecured advertisements of it in.',
)
PUBLISHED = Option(
    ("published",),
    values.flag(),
    default=True,
    doc="Whether the API offers its devices to apps; of a product that is not published it shows none.",
)
SECRET: Option[str | None] = Option(
    ("secret",),
    values.credential("product_secret"),
    None,
    "The name of the credential that holds the productSecret (never the secret itself).",
    '"product_secret.a1Bdn3wBulb"',
)

PRODUCT_OPTIONS: tuple[Option[object], ...] = (
    PRODUCT_KEY,
    NET_TYPE,
    PRODUCT_IDS,
    NAME,
    NODE_TYPE,
    CATEGORY,
    SECURITY,
    PUBLISHED,
    SECRET,
)
PRODUCT_TREE = make_tree(PRODUCT_OPTIONS)
