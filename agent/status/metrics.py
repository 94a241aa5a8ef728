"""Metrics in the Prometheus text format 0.0.4, made of the documents that the sockets show.

Labels come from the configuration and from our own words alone, never from what was heard: no stranger
can make a new series.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from agent.status.message import Json

METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})

Sample = tuple[dict[str, str], float]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, ``gauge`` or ``counter``, a sentence, and its samples by labels."""

    name: str
    kind: str
    sentence: str
    samples: list[Sample]


def render_metrics(status: Json, tokens: Json) -> str:
    """The exposition of the documents ``/v1/status`` and ``/v1/tokens``."""
    families = [
        *gateway_families(status),
        *radio_families(status),
        *admission_families(status),
        *token_families(tokens),
        *warning_families(status),
    ]
    return "".join(render_family(family) for family in families)


def gauge(name: str, sentence: str, value: float, **labels: str) -> Family:
    """A gauge of one sample."""
    return Family(name, "gauge", sentence, [(labels, value)])


def gateway_families(status: Json) -> Iterator[Family]:
    link = status["link"]
    yield gauge("enrolld_info", "The running version.", 1, version=status["version"])
    yield gauge("enrolld_uptime_seconds", "Seconds since the daemon started.", status["uptime"])
    yield gauge("enrolld_gateway_bound", "1 when a user has bound the gateway.", status["gateway"]["bound"])
    yield gauge(
        "enrolld_cloud_online", "1 while the cloud link is up.", link["state"] == "online", link=link["kind"]
    )


def radio_families(status: Json) -> Iterator[Family]:
    adapters = [({"adapter": a["name"], "kind": a["kind"]}, a) for a in status["adapters"]]
    heard: list[Sample] = [(labels, a["heard"]) for labels, a in adapters]
    listening: list[Sample] = [(labels, a["state"] == "listening") for labels, a in adapters]
    yield Family("enrolld_adapter_heard_total", "counter", "Adverts or frames heard by a radio.", heard)
    yield Family("enrolld_adapter_listening", "gauge", "1 while a radio listens.", listening)
    known = status["enrollees"]
    classes = [("configured", "configured"), ("other", "other"), ("access_point", "access_points")]
    classes.append(("stranger", "strangers"))
    kept: list[Sample] = [({"class": name}, known[member]) for name, member in classes]
    yield Family("enrolld_enrollees", "gauge", "Entries of the enrollee table by class.", kept)
    yield gauge("enrolld_enrollee_capacity", "Entries that the table can hold.", known["capacity"])
    yield gauge("enrolld_enrollees_on_report", "Enrollees reported to the cloud.", known["on_report"])


def admission_families(status: Json) -> Iterator[Family]:
    permits, devices = status["permits"], status["subdevices"]
    yield gauge("enrolld_permits_open", "Open permit windows.", len(permits["open"]))
    yield gauge("enrolld_permits_denied", "Products that may never join.", len(permits["denied"]))
    joins = status["joins"]
    admitted: list[Sample] = [({}, joins["admitted"])]
    refused: list[Sample] = [({"reason": why}, n) for why, n in sorted(joins["refused"].items())]
    yield Family("enrolld_joins_admitted_total", "counter", "Joins that the door admitted.", admitted)
    yield Family("enrolld_joins_refused_total", "counter", "Joins that the door refused, by reason.", refused)
    yield gauge("enrolld_subdevices", "Sub-devices in the topology.", devices["total"])
    yield gauge("enrolld_subdevices_online", "Sub-devices that are logged in.", devices["online"])


def token_families(tokens: Json) -> Iterator[Family]:
    oldest = tokens["oldest"] or 0
    yield gauge("enrolld_tokens_waiting", "Tokens waiting to be reported.", tokens["waiting"])
    yield gauge("enrolld_token_oldest_seconds", "Age of the oldest waiting token, 0 when none.", oldest)
    dropped: list[Sample] = [({"reason": why}, n) for why, n in sorted(tokens["dropped"].items())]
    yield Family("enrolld_tokens_dropped_total", "counter", "Tokens not reported, by reason.", dropped)


def warning_families(status: Json) -> Iterator[Family]:
    """A warning that is over has no sample; the count by severity is always there."""
    codes: list[Sample] = [({"code": code}, 1) for code in sorted({w["code"] for w in status["warnings"]})]
    yield Family("enrolld_warning", "gauge", "1 while a warning of that code is there.", codes)
    count = Counter(w["severity"] for w in status["warnings"])
    severities: list[Sample] = [({"severity": name}, count[name]) for name in ("error", "warning")]
    yield Family("enrolld_warnings", "gauge", "Warnings of now by severity.", severities)


def render_family(family: Family) -> str:
    """The lines of one metric; a family without samples is only announced."""
    sentence = family.sentence.translate(HELP_ESCAPES)
    head = f"# HELP {family.name} {sentence}\n# TYPE {family.name} {family.kind}\n"
    return head + "".join(
        f"{family.name}{render_labels(labels)} {render_value(value)}\n" for labels, value in family.samples
    )


def render_labels(labels: dict[str, str]) -> str:
    """``{name="value",..}`` with backslash, quote and line feed escaped; empty without labels."""
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(ESCAPES)}"' for name, value in labels.items()) + "}"


def render_value(value: float) -> str:
    """Whole numbers without a point, everything else as Python's shortest form."""
    return str(int(value)) if value == int(value) else repr(float(value))
