"""Topics and envelopes against what the official SDKs really sent and took."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codec import alink
from agent.codec.strictjson import read_json
from agent.errors import FrameError, InputRefused
from agent.model import DeviceId

VECTORS = Path(__file__).parent / "vectors"
GATEWAY = DeviceId("a1GwProdKey", "gw_0001")

TOPICS = {
    "thing/awss/enrollee/found": "/sys/a1GwProdKey/gw_0001/thing/awss/enrollee/found",
    "thing/awss/enrollee/checkin_reply": "/sys/a1GwProdKey/gw_0001/thing/awss/enrollee/checkin_reply",
    "thing/awss/enrollee/match": "/sys/a1GwProdKey/gw_0001/thing/awss/enrollee/match",
    "thing/cipher/get": "/sys/a1GwProdKey/gw_0001/thing/cipher/get",
    "thing/reset": "/sys/a1GwProdKey/gw_0001/thing/reset",
    "_thing/event/notify": "/sys/a1GwProdKey/gw_0001/_thing/event/notify",
    "thing/gateway/permit": "/sys/a1GwProdKey/gw_0001/thing/gateway/permit",
    "thing/topo/add/notify": "/sys/a1GwProdKey/gw_0001/thing/topo/add/notify",
    "thing/proxy/provisioning/product_register_reply": (
        "/sys/a1GwProdKey/gw_0001/thing/proxy/provisioning/product_register_reply"
    ),
    "combine/login": "/ext/session/a1GwProdKey/gw_0001/combine/login",
    "combine/batch_logout_reply": "/ext/session/a1GwProdKey/gw_0001/combine/batch_logout_reply",
    "ext/error": "/ext/error/a1GwProdKey/gw_0001",
}


@pytest.mark.parametrize(("name", "topic"), TOPICS.items())
def test_topics_both_ways(name: str, topic: str) -> None:
    assert alink.topic_of(GATEWAY, name) == topic
    assert alink.read_topic(topic) == (GATEWAY, name)


@pytest.mark.parametrize(
    "topic", ["", "/", "/ext/register", "/ext/regnwl", "sys/a/b/c", "/sys/a/b", "/x/a/b/c",
              "/sys/a/b/combine/login", "/ext/session/a/b/thing/reset", "/sys/pk/dn/", "/ext/error/a/b/c"],
)  # fmt: skip
def test_other_topics_are_not_ours(topic: str) -> None:
    assert alink.read_topic(topic) is None


@pytest.mark.parametrize(
    "topic",
    [
        "/sys//dn/thing/reset",
        "/sys/pk//thing/reset",
        "/sys/+/dn/thing/reset",
        "/sys/pk/d n/thing/x",
        "/ext/error/pk/",
        "/sys/" + "k" * 21 + "/dn/thing/x",
        "/sys/pk/" + "n" * 65 + "/thing/x",
        "/sys/pk/\u0661dn/thing/x",
    ],
)
def test_broken_names_in_topics(topic: str) -> None:
    with pytest.raises(FrameError):
        alink.read_topic(topic)


@pytest.mark.parametrize("name", ["a/b", "#", "a+b", "", "n" * 65, "naïve"])
def test_no_name_from_the_air_breaks_out_of_its_topic(name: str) -> None:
    with pytest.raises(InputRefused):
        alink.topic_of(DeviceId("a1GwProdKey", name), "thing/reset")


def walk(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from walk(member)
    elif isinstance(value, list):
        for member in value:
            yield from walk(member)


def messages(file: str) -> list[dict[str, object]]:
    return [m for m in walk(json.loads((VECTORS / file).read_text())) if isinstance(m.get("payload"), str)]


FILES = ["mqtt-gateway-c.json", "mqtt-python-sdk.json", "wifi-registrar-traces.json"]
PAYLOADS = [m for file in FILES for m in messages(file)]


def test_the_vectors_are_many() -> None:
    assert len(PAYLOADS) > 80


@pytest.mark.parametrize("vector", PAYLOADS, ids=lambda v: str(v.get("topic", v["payload"]))[-30:])
def test_every_payload_of_the_vectors_is_read(vector: dict[str, object]) -> None:
    text = str(vector["payload"])
    expected = json.loads(text)
    message = alink.read_message(text.encode())
    assert message.id == expected["id"]
    assert type(message.id) is type(expected["id"])
    if "code" in expected:
        assert isinstance(message, alink.Answer)
        assert (message.code, message.data) == (expected["code"], expected.get("data", {}))
    else:
        assert isinstance(message, alink.Request)
        assert message.params == expected.get("params", {})
        assert message.method == expected.get("method")
        assert message.ack


@pytest.mark.parametrize("vector", [m for m in messages("mqtt-gateway-c.json") if m["ev"] == "publish"])
def test_our_requests_say_what_the_c_sdk_says(vector: dict[str, object]) -> None:
    theirs = json.loads(str(vector["payload"]))
    place = alink.read_topic(str(vector["topic"]))
    assert place is not None
    if place[1].endswith("_reply"):
        ours = alink.build_answer(theirs["id"], theirs["code"], theirs["data"])
        assert theirs.items() <= json.loads(ours).items()
    else:
        assert json.loads(alink.build_request(theirs["id"], place[1], theirs["params"])) == theirs


def test_a_reply_is_what_the_real_cloud_sends() -> None:
    reply = alink.build_answer("0", 200, None, name="thing/awss/enrollee/match")
    assert reply == (
        b'{"code":200,"data":{},"id":"0","message":"success",'
        b'"method":"thing.awss.enrollee.match","version":"1.0"}'
    )
    assert len(reply) == 104  # seen in an official device log (cloud-device-channel.md 4.3)


def test_ids_are_echoed_in_their_type() -> None:
    assert b'"id":77,' in alink.build_answer(77, 200, {})
    assert b'"id":"77",' in alink.build_answer("77", 200, {})


@pytest.mark.parametrize(("ack", "wanted"), [(0, False), (1, True), (None, True), ("0", False)])
def test_who_wants_no_reply_gets_none(ack: object, wanted: bool) -> None:
    system = {} if ack is None else {"sys": {"ack": ack}}
    message = alink.read_message(json.dumps({"id": "1", "params": {}} | system).encode())
    assert isinstance(message, alink.Request)
    assert message.ack is wanted


def test_a_request_without_ack_reads_back_so() -> None:
    message = alink.read_message(alink.build_request("5", "thing/reset", {}, ack=False))
    assert message == alink.Request("5", {}, "thing.reset", ack=False)


def test_of_duplicate_keys_the_last_wins() -> None:
    message = alink.read_message(b'{"id":"1","params":{"time":1,"time":2}}')
    assert isinstance(message, alink.Request)
    assert message.params == {"time": 2}


BROKEN = [
    b"", b"{", b"[]", b"3", b'"x"', b"null", b"{}", b'{"id":null}', b'{"id":true}', b'{"id":1.5}',
    b'{"id":""}',
    b'{"id":[1]}', b'{"id":abc,"code":200}', b'{"id":"' + b"1" * 65 + b'"}', b'{"id":"1","code":"200"}',
    b'{"id":"1","code":true}', b'{"id":"1","code":null}', b'{"id":"1","code":200.5}',
    b'{"id":"1","code":200,"message":5}', b'{"id":"1","method":5}', b'{"id":"1","sys":[]}', b'{"id":"1"} x',
    b'{"id":"1","params":NaN}', b'{"id":"1","params":Infinity}', b'{"id":"1","params":1e999}',
    b'{"id":"1","params":9223372036854775808}', b'{"id":"1","params":[-9223372036854775809]}',
    b'{"id":"1","params":' + b"9" * 5000 + b"}", b'{"id":"1","params":"\xff"}',
    b'{"id":"1","params":"\\ud800"}',
    b'{"id":"1","params":' + b"[" * 33 + b"]" * 33 + b"}", b"[" * 100_000, b'{"a":' * 50_000,
    b"\xef\xbb\xbf{}", b'{"id":"1","params":"' + b"x" * alink.LARGEST + b'"}', b"{'id':'1'}",
]  # fmt: skip


@pytest.mark.parametrize("payload", BROKEN, ids=lambda p: p[:30].decode("latin-1"))
def test_broken_payloads(payload: bytes) -> None:
    with pytest.raises(FrameError):
        alink.read_message(payload)


def test_limits_are_where_they_are_said_to_be() -> None:
    deep = b'{"id":"1","params":' + b"[" * 31 + b"]" * 31 + b"}"
    assert isinstance(alink.read_message(deep), alink.Request)
    with pytest.raises(FrameError):
        alink.read_message(deep.replace(b"[" * 31, b"[" * 32).replace(b"]" * 31, b"]" * 32))
    assert read_json(b"[9223372036854775807,-9223372036854775808]") == [2**63 - 1, -(2**63)]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    try:
        message = alink.read_message(payload)
    except FrameError:
        return
    assert json.loads(payload)["id"] == message.id


@given(st.text(max_size=80))
def test_any_topic_is_read_or_refused(topic: str) -> None:
    for text in (topic, f"/sys/{topic}", f"/ext/session/pk/{topic}"):
        try:
            place = alink.read_topic(text)
        except FrameError:
            continue
        if place is not None:
            assert alink.topic_of(*place) == text


def test_nothing_secret_in_a_repr() -> None:
    token = "4786F0F6E1CC7BF86017FD4D1429EE4F"
    request = alink.read_message(alink.build_request("1", alink.MATCH, {"token": token}))
    answer = alink.read_message(alink.build_answer("1", 200, {"deviceSecret": token}))
    assert token not in repr(request) + repr(answer)
