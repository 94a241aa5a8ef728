"""Every test runs strict: what escapes a parser fails the test instead of being quarantined."""

from __future__ import annotations

import os

os.environ["ENROLLD_STRICT"] = "1"
