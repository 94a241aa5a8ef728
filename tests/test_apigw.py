"""The gateway's signature and envelope against the official client's requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.codec import apigw, apigw_envelope
from agent.codec.apigw import Fault, GatewayRefused, ReceivedRequest
from agent.codec.apigw_envelope import EnvelopeRefused, Response
from agent.errors import FrameError, InputRefused

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "http-signed-requests.json").read_text("utf-8")
)["vectors"]
NAMES = [vector["name"] for vector in VECTORS]
SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SENT_AT = 1580974374.0  # Thu, 06 Feb 2020 07:32:54 GMT
OWN = {
    *("date", "x-ca-nonce", "x-ca-key", "x-ca-signaturemethod", "accept", "user-agent", "content-type"),
    *("content-md5", "x-ca-signature-headers", "x-ca-signature"),
}
TRANSPORT = {"accept-encoding", "host", "content-length"}
every_vector = pytest.mark.parametrize("vector", VECTORS, ids=NAMES)


def secret_of(app_key: str) -> str | None:
    return SECRET if app_key == "23270001" else None


def received(vector: dict[str, Any], **changes: Any) -> ReceivedRequest:
    method, target, _ = vector["request_line"].split(" ")
    headers = [(name, value) for name, value in vector["headers"]]
    parts = {"method": method, "target": target, "headers": headers, "body": vector["body"].encode()}
    return ReceivedRequest(**(parts | changes))


def built(vector: dict[str, Any]) -> apigw.SignedRequest:
    content, given_in = vector["body_json"], vector["input"]
    headers = {name: value for name, value in vector["headers"] if name.lower() not in TRANSPORT}
    return apigw.build_request(
        given_in["path"],
        content["params"],
        app_key=given_in["appKey"],
        app_secret=given_in["appSecret"],
        api_ver=content["request"]["apiVer"],
        iot_token=content["request"].get("iotToken"),
        request_id=content["id"],
        nonce=given_in["nonce"],
        date=given_in["date"],
        version=content.get("version"),
        language=content["request"].get("language"),
        headers=[(name, value) for name, value in headers.items() if name not in OWN],
        user_agent=headers["user-agent"],
    )


def refused(request: ReceivedRequest, *, utc: float | None = SENT_AT) -> GatewayRefused:
    with pytest.raises(GatewayRefused) as caught:
        apigw.verify(request, secret_of, utc=utc)
    return caught.value


def vector_named(name: str) -> dict[str, Any]:
    return VECTORS[NAMES.index(name)]


PERMIT = vector_named("gateway_permit")


@every_vector
def test_we_build_what_the_official_client_sends(vector: dict[str, Any]) -> None:
    request = built(vector)
    sent = [(name, value) for name, value in vector["headers"] if name.lower() not in TRANSPORT]
    assert request.body == vector["body"].encode()
    assert list(request.headers) == sent
    assert apigw.content_md5(request.body) == vector["content_md5"]
    names = apigw.read_signed_names(dict(sent)["x-ca-signature-headers"])
    assert names == apigw.sort_signed_names(name for name, _ in sent)
    text = apigw.string_to_sign("post", sent, request.path, names)
    assert text == vector["string_to_sign"]
    assert apigw.sign(SECRET, text) == vector["signature"]


@every_vector
def test_we_accept_what_the_official_client_sends(vector: dict[str, Any]) -> None:
    verified = apigw.verify(received(vector), secret_of, utc=SENT_AT)
    assert verified == apigw.Verified("23270001", vector["input"]["nonce"])
    content = vector["body_json"]
    request = apigw_envelope.read_request(vector["body"].encode())
    assert (request.id, request.params) == (content["id"], content["params"])
    assert (request.api_ver, request.iot_token) == (
        content["request"]["apiVer"],
        content["request"].get("iotToken"),
    )


@every_vector
def test_letter_case_and_order_of_header_names_do_not_matter_on_arrival(vector: dict[str, Any]) -> None:
    headers = [(name.title(), value) for name, value in reversed(vector["headers"])]
    apigw.verify(received(vector, headers=headers), secret_of, utc=SENT_AT)


def altered(octets: bytes) -> Iterator[bytes]:
    for place in range(len(octets)):
        yield octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]


@every_vector
def test_any_altered_octet_of_the_body_is_refused(vector: dict[str, Any]) -> None:
    for body in altered(vector["body"].encode()):
        assert refused(received(vector, body=body)).fault is Fault.BODY_CHANGED
    for body in (b"", vector["body"].encode()[:-1], vector["body"].encode() + b" "):
        assert refused(received(vector, body=body)).fault is Fault.BODY_CHANGED


@every_vector
def test_any_altered_octet_of_the_path_or_method_is_refused(vector: dict[str, Any]) -> None:
    for target in altered(vector["input"]["path"].encode()):
        request = received(vector, target=target.decode("utf-8", "surrogateescape"))
        assert refused(request).fault is Fault.SIGNATURE_WRONG
    assert refused(received(vector, method="PUT")).fault is Fault.SIGNATURE_WRONG


SPECIAL = {"x-ca-key": Fault.KEY_UNKNOWN, "content-md5": Fault.BODY_CHANGED}
UNSIGNED = {"host", "user-agent", "token", "accept-encoding", "content-length"}


@every_vector
def test_any_altered_octet_of_a_signed_header_is_refused(vector: dict[str, Any]) -> None:
    for place, (name, value) in enumerate(vector["headers"]):
        if name.lower() in UNSIGNED:
            continue
        for other in altered(value.encode()):
            headers = list(vector["headers"])
            headers[place] = (name, other.decode("utf-8", "surrogateescape"))
            fault = refused(received(vector, headers=headers)).fault
            assert fault is SPECIAL.get(name, Fault.SIGNATURE_WRONG), (name, other)


@every_vector
def test_any_header_that_is_missing_or_renamed_is_refused(vector: dict[str, Any]) -> None:
    missing = SPECIAL | {"x-ca-signature": Fault.SIGNATURE_MISSING}
    for place, (name, value) in enumerate(vector["headers"]):
        if name.lower() in UNSIGNED:
            continue
        others = [vector["headers"][:place] + vector["headers"][place + 1 :]]
        for other in altered(name.encode()):
            headers = list(vector["headers"])
            headers[place] = (other.decode("latin-1"), value)
            others.append(headers)
        for headers in others:
            assert refused(received(vector, headers=headers)).fault is missing.get(
                name, Fault.SIGNATURE_WRONG
            )


@every_vector
def test_unsigned_headers_may_change_on_the_way(vector: dict[str, Any]) -> None:
    headers = [(n, "other" if n.lower() in UNSIGNED else v) for n, v in vector["headers"]]
    apigw.verify(received(vector, headers=headers), secret_of, utc=SENT_AT)


def with_header(vector: dict[str, Any], name: str, value: str) -> ReceivedRequest:
    headers = [(n, value if n.lower() == name else v) for n, v in vector["headers"]]
    return received(vector, headers=headers)


def test_names_joined_by_colons_are_understood() -> None:
    names = "x-ca-key:x-ca-nonce:x-ca-signaturemethod"
    request = with_header(PERMIT, "x-ca-signature-headers", names)
    assert apigw.verify(request, secret_of, utc=SENT_AT).nonce == PERMIT["input"]["nonce"]


def test_each_fault_has_the_status_and_text_of_the_documents() -> None:
    assert {fault: (fault.status, fault.text) for fault in Fault} == {
        Fault.SIGNATURE_MISSING: (401, "Empty Signature"),
        Fault.SIGNATURE_WRONG: (400, "Invalid Signature"),
        Fault.KEY_UNKNOWN: (400, "Invalid AppKey"),
        Fault.BODY_CHANGED: (400, "Invalid Content-MD5"),
        Fault.DATE_OLD: (400, "Timestamp Expired"),
        Fault.NONCE_USED: (400, "Nonce Used"),
        Fault.NOT_AUTHORIZED: (403, "Unauthorized"),
        Fault.THROTTLED: (429, "Throttled by Flow Control"),
    }


def test_a_wrong_signature_is_told_what_the_server_signs() -> None:
    refusal = refused(with_header(PERMIT, "x-ca-signature", "x" * 44))
    assert refusal.error_message == (
        "Invalid Signature, Server StringToSign:" + PERMIT["string_to_sign"].replace("\n", "#")
    )
    assert SECRET not in refusal.error_message
    assert refused(with_header(PERMIT, "x-ca-key", "1")).error_message == "Invalid AppKey"


def test_the_error_message_fits_a_header_whatever_came() -> None:
    request = with_header(PERMIT, "accept", "\r\n\x00\udc80客" + "x" * 9000)
    message = refused(request).error_message
    assert message.isascii()
    assert message.isprintable()
    assert len(message) <= 2048


@pytest.mark.parametrize("seconds", [-900, -1, 0, 899.5, 900])
def test_a_date_within_a_quarter_of_an_hour_is_taken(seconds: float) -> None:
    apigw.verify(received(PERMIT), secret_of, utc=SENT_AT + seconds)


@pytest.mark.parametrize("seconds", [-901, 901, 1e9])
def test_a_date_beyond_that_is_refused_unless_unchecked(seconds: float) -> None:
    assert refused(received(PERMIT), utc=SENT_AT + seconds).fault is Fault.DATE_OLD
    apigw.verify(received(PERMIT), secret_of, utc=None)


def signed(date: str, *headers: tuple[str, str]) -> ReceivedRequest:
    request = apigw.build_request(
        "/awss/token/check",
        {"token": "t"},
        app_key="23270001",
        app_secret=SECRET,
        api_ver="1.0.9",
        iot_token=None,
        request_id="1",
        nonce="n",
        date=date,
        headers=headers,
    )
    return ReceivedRequest("POST", request.path, request.headers, request.body)


def test_a_signed_timestamp_goes_before_the_date() -> None:
    old, now = "Thu, 06 Feb 2020 07:32:54 GMT", ("x-ca-timestamp", "1700000000000")
    apigw.verify(signed(old, now), secret_of, utc=1.7e9)
    assert refused(signed(old, ("x-ca-timestamp", "12a"))).fault is Fault.DATE_OLD
    assert refused(signed(old), utc=1.7e9).fault is Fault.DATE_OLD


def test_what_is_not_signed_proves_nothing() -> None:
    """Whoever heard a request could otherwise make it young again, or give it a new nonce."""
    late = SENT_AT + 5000
    headers = [*PERMIT["headers"], ("x-ca-timestamp", str(int(late * 1000)))]
    assert refused(received(PERMIT, headers=headers), utc=late).fault is Fault.DATE_OLD
    sent = [("x-ca-key", "23270001"), ("x-ca-nonce", "n"), ("date", PERMIT["input"]["date"])]
    text = apigw.string_to_sign("POST", sent, "/p", ["x-ca-key"])
    sent += [("x-ca-signature-headers", "x-ca-key"), ("x-ca-signature", apigw.sign(SECRET, text))]
    request = ReceivedRequest("POST", "/p", sent, b"")
    assert apigw.verify(request, secret_of, utc=SENT_AT).nonce is None


def test_a_body_needs_its_md5() -> None:
    sent = [("x-ca-key", "23270001"), ("date", PERMIT["input"]["date"])]
    text = apigw.string_to_sign("POST", sent, "/p", ["x-ca-key"])
    sent += [("x-ca-signature-headers", "x-ca-key"), ("x-ca-signature", apigw.sign(SECRET, text))]
    assert refused(ReceivedRequest("POST", "/p", sent, b"{}")).fault is Fault.BODY_CHANGED


@pytest.mark.parametrize("signs", ["/p?b=1&a=x%20y", "/p?b=1&a=x y", "/p?a=x y&b=1"])
def test_a_query_may_be_signed_as_sent_or_sorted_encoded_or_not(signs: str) -> None:
    sent = [("x-ca-key", "23270001"), ("date", PERMIT["input"]["date"])]
    text = apigw.string_to_sign("POST", sent, signs, ["x-ca-key"])
    sent += [("x-ca-signature-headers", "x-ca-key"), ("x-ca-signature", apigw.sign(SECRET, text))]
    apigw.verify(ReceivedRequest("POST", "/p?b=1&a=x%20y", sent, b""), secret_of, utc=SENT_AT)
    for target in ("/p?b=1&a=x%20z", "/p?b=1", "/p", "/p?b=1&a=x%20y&c=1"):
        request = ReceivedRequest("POST", target, sent, b"")
        assert refused(request).fault is Fault.SIGNATURE_WRONG


def test_dates_are_rfc_1123() -> None:
    assert apigw.format_date(SENT_AT) == "Thu, 06 Feb 2020 07:32:54 GMT"
    assert apigw.read_date("Thu, 06 Feb 2020 07:32:54 GMT") == SENT_AT
    for text in ("", "now", "Thu, 31 Feb 2020 07:32:54 GMT", "Thu, 06 Foo 2020 07:32:54 GMT"):
        with pytest.raises(FrameError):
            apigw.read_date(text)
    for text in ("Thu, 06 Feb 2020 07:32:54 +0800", "Thu, 06 Feb 0000 07:32:54 GMT", "٠٦ Feb"):
        with pytest.raises(FrameError):
            apigw.read_date(text)


def envelope(**members: object) -> bytes:
    whole: dict[str, object] = {"id": "1", "version": "1.0", "params": {}, "request": {"apiVer": "1.0.2"}}
    return json.dumps(whole | members).encode()


@pytest.mark.parametrize(("value", "echo"), [("x", "x"), (1508212818676, "1508212818676"), (None, "")])
def test_an_id_is_echoed_as_text(value: object, echo: str) -> None:
    assert apigw_envelope.read_request(envelope(id=value)).id == echo


@pytest.mark.parametrize("version", ["1.0.0", "1.0", "1.0.10", "2.0.0", "1.0.0.1"])
def test_any_version_from_1_on_is_taken(version: str) -> None:
    assert apigw_envelope.read_request(envelope(request={"apiVer": version})).api_ver == version


def test_what_is_optional_may_be_missing() -> None:
    request = apigw_envelope.read_request(b'{"request":{"apiVer":"1.0.2","iotToken":"","appKey":7}}')
    assert (request.id, request.params, request.iot_token) == ("", {}, None)


@pytest.mark.parametrize(
    "members",
    [
        {"params": []},
        {"params": "x"},
        {"request": None},
        {"request": "x"},
        {"request": {"apiVer": 1}},
        {"request": {"apiVer": "0.9.9"}},
        {"request": {"apiVer": "1.0.x"}},
        {"request": {"apiVer": "1.0.2", "iotToken": 5}},
    ],
)
def test_members_that_do_not_fit_are_refused_with_the_id(members: dict[str, object]) -> None:
    with pytest.raises(EnvelopeRefused) as caught:
        apigw_envelope.read_request(envelope(**members))
    assert (caught.value.code, caught.value.id) == (460, "1")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 5000, b'{"id":1e400}'])
def test_what_is_no_envelope_is_a_request_error(body: bytes) -> None:
    with pytest.raises(EnvelopeRefused) as caught:
        apigw_envelope.read_request(body)
    assert (caught.value.code, caught.value.id) == (400, "")


@pytest.mark.parametrize("value", [True, 1.5, [], {}])
def test_an_id_is_text_or_a_whole_number(value: object) -> None:
    with pytest.raises(EnvelopeRefused):
        apigw_envelope.read_request(envelope(id=value))


def test_an_answer_has_all_five_members_and_reads_back() -> None:
    body = apigw_envelope.build_response(Response(6608, "token not found", id="7"))
    assert body == (
        b'{"code":6608,"data":null,"message":"token not found","localizedMsg":"token not found","id":"7"}'
    )
    answer = apigw_envelope.read_response(body)
    assert answer == Response(6608, "token not found", None, "token not found", "7")


def test_an_answer_may_lack_all_but_its_code() -> None:
    assert apigw_envelope.read_response(b'{"code":200,"id":12}') == Response(200, "", id="12")
    for body in (b"", b"<html>", b"[]", b"{}", b'{"code":"200"}', b'{"code":true}'):
        with pytest.raises(FrameError):
            apigw_envelope.read_response(body)


def test_text_that_is_not_unicode_is_refused_when_built() -> None:
    with pytest.raises(InputRefused):
        apigw_envelope.build_request("1", {"token": "\udc80"}, "1.0.2", None)


def test_no_repr_shows_a_token() -> None:
    vector = vector_named("token_check")
    token = vector["body_json"]["request"]["iotToken"]
    for value in (
        built(vector),
        received(vector),
        apigw_envelope.read_request(vector["body"].encode()),
        Response(200, "success", token),
    ):
        assert token not in repr(value)
        assert vector["body_json"]["params"]["token"] not in repr(value)


headers_of = st.lists(
    st.tuples(
        st.sampled_from([name for name, _ in PERMIT["headers"]]) | st.text(max_size=9), st.text(max_size=40)
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(st.text(max_size=9), st.text(max_size=60), headers_of, st.binary(max_size=80))
def test_any_request_is_verified_or_refused_by_name(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    messages = []
    for given_headers in (headers, [*headers, *PERMIT["headers"]], [*PERMIT["headers"], *headers]):
        try:
            apigw.verify(ReceivedRequest(method, target, given_headers, body), secret_of, utc=SENT_AT)
        except GatewayRefused as refusal:
            messages.append(refusal.error_message)
    assert all(message.isprintable() for message in messages)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "params", "request", "apiVer", "code"]), inner)
    ),
)


@settings(max_examples=300)
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_an_envelope_or_refused_by_name(body: bytes) -> None:
    with suppress(EnvelopeRefused):
        assert isinstance(apigw_envelope.read_request(body).params, dict)
    with suppress(FrameError):
        assert isinstance(apigw_envelope.read_response(body).code, int)
