"""The metrics, read back by a small parser of the text format 0.0.4 that knows nothing of ours."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.status.metrics import render_metrics
from tests.recording import STATUS, TOKENS, Json

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')
UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read_metrics(text: str) -> tuple[Series, dict[str, str]]:
    """Samples by name and labels, and the type of each name; AssertionError for what a scraper refuses."""
    series: Series = {}
    types: dict[str, str] = {}
    helped = set()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            helped.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} is announced twice"
            types[name] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            name, inside, value = found.groups()
            labels = read_labels(inside or "")
            assert (name, labels) not in series, f"{line} comes twice"
            assert name in types, f"{name} is not announced before its first sample"
            series[name, labels] = float(value)
    assert helped == types.keys()
    return series, types


def read_labels(inside: str) -> frozenset[tuple[str, str]]:
    labels = {}
    end = 0
    for found in LABEL.finditer(inside):
        assert found.start() == end
        end = found.end()
        labels[found[1]] = re.sub(r"\\.", lambda escaped: UNESCAPED[escaped[0]], found[2])
    assert end == len(inside)
    return frozenset(labels.items())


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, frozenset(labels.items())]


def test_every_number_of_the_documents_is_there() -> None:
    series, types = read_metrics(render_metrics(STATUS, TOKENS))
    assert value(series, "enrolld_info", version="0.1.0") == 1
    assert value(series, "enrolld_uptime_seconds") == 10_921.5
    assert value(series, "enrolld_gateway_bound") == 1
    assert value(series, "enrolld_cloud_online", link="embedded") == 1
    assert value(series, "enrolld_adapter_heard_total", adapter="hci0", kind="ble") == 1204
    assert value(series, "enrolld_adapter_listening", adapter="hci0", kind="ble") == 1
    assert value(series, "enrolld_adapter_listening", adapter="wlan1", kind="wifi") == 0
    for name, count in {"configured": 3, "other": 1, "access_point": 7, "stranger": 1}.items():
        assert value(series, "enrolld_enrollees", **{"class": name}) == count
    assert value(series, "enrolld_enrollee_capacity") == 4096
    assert value(series, "enrolld_enrollees_on_report") == 2
    assert value(series, "enrolld_permits_open") == 2
    assert value(series, "enrolld_permits_denied") == 1
    assert value(series, "enrolld_joins_admitted_total") == 6
    assert value(series, "enrolld_joins_refused_total", reason="window_closed") == 5
    assert value(series, "enrolld_subdevices") == 4
    assert value(series, "enrolld_subdevices_online") == 3
    assert value(series, "enrolld_tokens_waiting") == 3
    assert value(series, "enrolld_token_oldest_seconds") == 41
    assert value(series, "enrolld_tokens_dropped_total", reason="late") == 2
    assert value(series, "enrolld_warning", code="adapter_gone") == 1
    assert value(series, "enrolld_warnings", severity="error") == 1
    assert value(series, "enrolld_warnings", severity="warning") == 1
    assert {name for name, kind in types.items() if kind == "counter"} == {
        name for name in types if name.endswith("_total")
    }


def test_a_quiet_gateway_has_zeros_and_no_gaps() -> None:
    status: Json = deepcopy(STATUS)
    status |= {"adapters": [], "warnings": [], "permits": {"open": [], "denied": []}}
    status["link"]["state"] = "offline"
    tokens: Json = {"v": 1, "waiting": 0, "oldest": None, "margin": None, "dropped": {}, "tokens": []}
    series, _ = read_metrics(render_metrics(status, tokens))
    for name in ("enrolld_permits_open", "enrolld_tokens_waiting", "enrolld_token_oldest_seconds"):
        assert value(series, name) == 0
    assert value(series, "enrolld_cloud_online", link="embedded") == 0
    assert value(series, "enrolld_warnings", severity="error") == 0


def test_two_warnings_of_one_code_are_one_series() -> None:
    status: Json = deepcopy(STATUS)
    status["warnings"] = [{**STATUS["warnings"][0], "subject": name} for name in ("wlan0", "wlan1")]
    series, _ = read_metrics(render_metrics(status, TOKENS))
    assert value(series, "enrolld_warning", code="adapter_gone") == 1
    assert value(series, "enrolld_warnings", severity="error") == 2


@given(st.text(min_size=1))
def test_label_values_survive_whatever_is_in_them(name: str) -> None:
    status: Json = deepcopy(STATUS)
    status["adapters"] = [{**STATUS["adapters"][0], "name": name}]
    series, _ = read_metrics(render_metrics(status, TOKENS))
    assert value(series, "enrolld_adapter_heard_total", adapter=name, kind="ble") == 1204


@pytest.mark.parametrize("count", [0, 1, 2**40, 0.25, 1e15])
def test_values_are_exact(count: float) -> None:
    status: Json = {**STATUS, "uptime": count}
    series, _ = read_metrics(render_metrics(status, TOKENS))
    assert value(series, "enrolld_uptime_seconds") == count


def test_what_was_heard_makes_no_series() -> None:
    text = render_metrics(STATUS, TOKENS)
    for stranger in ("AA:BB:CC", "a1Lamp", "aabbcc001122", "a1Lock"):
        assert stranger not in text
