"""The shipped example and the reference of the configuration, written from the tables of options.

``python -m agent.config_reference`` writes ``config/enrolld.toml`` and ``docs/configuration.md``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from agent.config import NEEDS_RESTART, needs_restart
from agent.config.options import OPTIONS, REQUIRED, TABLES, Option, Table, toml_text
from agent.config.product_options import PRODUCT_OPTIONS

WIDTH = 100
HEAD = """\
# The configuration of enrolld: /etc/enrolld/enrolld.toml.
#
# Each option stands here once. A line "#key = value" is not set; it shows the default, or an example
# where there is no default. To set it take its "#" away, and the one of the [table] above it.
# Files of enrolld.toml.d/ override this one; each product is a file of products.d/.
# Secrets never stand in these files, only the names of their credentials do.
# The reference is docs/configuration.md; "enrolld --check-config" checks everything.
"""
INTRODUCTION = """\
# Configuration

enrolld reads TOML 1.0 files (UTF-8):

1. `/etc/enrolld/enrolld.toml`, or the file of `--config`;
2. the drop-ins `enrolld.toml.d/*.toml` beside it, in the order of their names;
3. one file `products.d/<productKey>.toml` beside it for each product.

A drop-in overrides the main file key by key: tables merge, arrays are replaced as a whole. Two drop-ins
that give the same key different values are an error, since only their names would decide. Hidden files
are skipped.

`enrolld --check-config` reads everything as a start would. Every problem of every file is told at once,
and the process ends with exit code 78; nothing is ever applied in part:

```
/etc/enrolld/enrolld.toml:12: service.found_interval: is out of range; it must be an integer from 5 to 3600
/etc/enrolld/products.d/a1Bdn3wBulb.toml:4: product_ids[1]: stands in the array twice; remove one
```

`SIGHUP` reads the files again. A file with a problem changes nothing, and the daemon goes on with the
settings it has. What changed applies at once, except for these, which wait for the next start:
{restart}.
"""
SECRETS = """\
## Secrets

A secret is a small file with one line: printable ASCII, at most 256 octets; one newline at its end is not
part of it. The configuration holds only names. With systemd, `LoadCredential=secrets:/etc/enrolld/secrets`
hands the files of that directory to the service; without it, `[secrets] directory` says where they are.
Where both have a name, systemd's wins. They are read once: a new or changed one needs a restart.

| name | holds |
| --- | --- |
| `gateway_secret` | the gateway's own deviceSecret, for the link `mqtt` |
| `app_secret` | the secret of the installer's app, for `[cloud.api]` |
| `auth_code` | the authCode of the installer's account, for `[cloud.api]` |
| `product_secret.<productKey>` | a productSecret |
| `device_secret.<productKey>.<deviceName>` | a deviceSecret |
| `passphrase.<name>` | the passphrase of a Wi-Fi network: 8 to 63 characters, or 64 hex digits |

In a device name every octet outside `A-Za-z0-9_@.-` is written `%XX` (upper-case hex), so a `:` is `%3A`
(systemd refuses a file name with a `:` and would not start the service); in a product key a `.` is written
so too. The directory is to be 0700 and its files 0600. What is open to others, misnamed or cannot be a secret
is told by `enrolld --check-config` and `enrollctl doctor`; the daemon runs without what it could not read.
"""
PRODUCTS = """\
## Product files

`products.d/<productKey>.toml` describes one product. A device of a product without a file never joins.
"""


def example() -> str:
    """``config/enrolld.toml``: every option with its meaning; what a first start needs is active."""
    return HEAD + "".join(f"\n{_show_table(table)}" for table in TABLES)


def _show_table(table: Table) -> str:
    options = [option for option in OPTIONS if option.path[:-1] == table.path]
    mark = "" if any(option.active for option in options) else "#"
    lines = [*_comment(table.doc), mark + table.header]
    for option in options:
        mark = "" if option.active else "#"
        lines += [*_comment(f"{option.doc} {_limits(option)}"), f"{mark}{option.path[-1]} = {option.shown}"]
    return "\n".join(lines) + "\n"


def _limits(option: Option[object]) -> str:
    return f"Accepted: {option.reader.words}." + (" Required." if option.default is REQUIRED else "")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def reference() -> str:
    """``docs/configuration.md``: files, every option of every table, product files, secrets."""
    restart = ", ".join(f"`{key}`" for key in NEEDS_RESTART)
    parts = [INTRODUCTION.format(restart=restart)]
    for table in TABLES:
        parts.append(f"## `[{'.'.join(table.path).replace('*', '<name>')}]`\n\n{table.doc}\n")
        parts.append(_describe([o for o in OPTIONS if o.path[:-1] == table.path]))
    parts += [PRODUCTS, _describe(PRODUCT_OPTIONS, product=True), SECRETS]
    return "\n".join(parts)


def _describe(options: Sequence[Option[object]], *, product: bool = False) -> str:
    columns = ["key", "meaning", "accepted", "default"] + ([] if product else ["a change applies"])
    rows = [columns, ["---"] * len(columns)]
    for option in options:
        row = [f"`{option.path[-1]}`", option.doc, option.reader.words, _describe_default(option)]
        rows.append(row if product else [*row, _describe_change(option)])
    return "".join("| " + " | ".join(map(_escape, row)) + " |\n" for row in rows)


def _escape(cell: str) -> str:
    return cell if cell.startswith("`") else cell.replace("<", "\\<").replace("*", "\\*")


def _describe_default(option: Option[object]) -> str:
    if option.default is REQUIRED:
        return "required"
    return f"`{toml_text(option.default)}`" if option.default is not None else "none"


def _describe_change(option: Option[object]) -> str:
    return "at the next start" if needs_restart(".".join(option.path)) else "at once"


def main() -> None:
    """Write both files of this checkout."""
    root = Path(__file__).resolve().parents[1]
    (root / "config" / "enrolld.toml").write_text(example(), "utf-8")
    (root / "docs" / "configuration.md").write_text(reference(), "utf-8")


if __name__ == "__main__":
    main()
