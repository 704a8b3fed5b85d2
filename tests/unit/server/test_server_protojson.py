"""Google's JSON: both spellings, typed fields, every fault by its path."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.errors import MalformedRequest
from onesense.server import gemini_wire
from onesense.server.protojson import Field, Message, Support, camel, parse, read

INNER = Message("Inner", {"first_name": Field("string")})
OUTER = Message(
    "Outer",
    {
        "some_text": Field("string"),
        "n_items": Field("int32"),
        "rate": Field("double"),
        "is_on": Field("bool"),
        "blob": Field("bytes"),
        "offset": Field("duration"),
        "anything": Field("any", Support.IGNORED),
        "colour": Field("enum", words=("NONE", "RED"), type_name="Colour"),
        "inner": Field("message", message=INNER),
        "inners": Field("message", message=INNER, is_list=True),
        "never": Field("any", Support.REFUSED),
    },
    one_of=("some_text", "blob"),
)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"someText": "a"}, {"some_text": "a"}),
        ({"some_text": "a"}, {"some_text": "a"}),
        ({"someText": None}, {}),
        ({"nItems": 7}, {"n_items": 7}),
        ({"nItems": "7"}, {"n_items": 7}),
        ({"nItems": 7.0}, {"n_items": 7}),
        ({"rate": 1}, {"rate": 1.0}),
        ({"rate": "0.5"}, {"rate": 0.5}),
        ({"isOn": False}, {"is_on": False}),
        ({"offset": "1.5s"}, {"offset": 1.5}),
        ({"offset": "-2s"}, {"offset": -2.0}),
        ({"anything": [{"x": 1}]}, {"anything": [{"x": 1}]}),
        ({"colour": "RED"}, {"colour": "RED"}),
        ({"colour": 1}, {"colour": "RED"}),
        ({"inner": {"firstName": "b"}}, {"inner": {"first_name": "b"}}),
        ({"inners": [{"first_name": "b"}, {}]}, {"inners": [{"first_name": "b"}, {}]}),
        ({"inners": {"firstName": "alone"}}, {"inners": [{"first_name": "alone"}]}),
    ],
)
def test_what_google_reads(given_: dict[str, Any], expected: dict[str, Any]) -> None:
    assert parse(OUTER, json.dumps(given_).encode()) == expected


@pytest.mark.parametrize(
    ("given_", "path", "said"),
    [
        ({"foo": 1}, "", 'Unknown name "foo": Cannot find field.'),
        ({"inner": {"foo": 1}}, "inner", "Unknown name \"foo\" at 'inner': Cannot find field."),
        ({"inners": [{}, {"foo": 1}]}, "inners[1]", "Unknown name \"foo\" at 'inners[1]': Cannot find field."),
        ({"someText": 5}, "some_text", "Invalid value at 'some_text' (TYPE_STRING), 5"),
        ({"nItems": 1.5}, "n_items", "(TYPE_INT32), 1.5"),
        ({"nItems": True}, "n_items", "(TYPE_INT32), true"),
        ({"nItems": 2**31}, "n_items", "(TYPE_INT32)"),
        ({"nItems": "many"}, "n_items", '(TYPE_INT32), "many"'),
        ({"rate": "nan"}, "rate", "(TYPE_DOUBLE)"),
        ({"isOn": "yes"}, "is_on", "(TYPE_BOOL)"),
        ({"blob": "%%"}, "blob", "Base64 decoding failed"),
        ({"blob": "abcde"}, "blob", "Base64 decoding failed"),
        ({"blob": 5}, "blob", "(TYPE_BYTES), 5"),
        ({"offset": "10"}, "offset", "google.protobuf.Duration"),
        ({"offset": 10}, "offset", "google.protobuf.Duration"),
        ({"colour": "GREEN"}, "colour", '.Colour), "GREEN"'),
        ({"colour": 9}, "colour", ".Colour), 9"),
        ({"inner": []}, "inner", "Proto field is not repeating, cannot start list."),
        ({"inner": "x"}, "inner", '.Inner), "x"'),
        ({"inners": [["a"]]}, "inners[0]", '.Inner), ["a"]'),
        ({"inners": 5}, "inners[0]", ".Inner), 5"),
        ({"someText": "a", "some_text": "b"}, "", "twice, in two spellings"),
        ({"someText": "a", "blob": "aa"}, "", "oneof field 'someText' is already set. Cannot set 'blob'"),
        ({"never": 1}, "never", "cannot be embedded"),
        ([1], "", ".Outer), [1]"),
        ("text", "", ".Outer)"),
    ],
)
def test_what_is_refused_and_where(given_: Any, path: str, said: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        read(OUTER, given_)
    assert said in str(caught.value)
    assert caught.value.violations[0][0] == path


@pytest.mark.parametrize(
    "body", [b"{", b"{'a': 1}", b"\xff\xfe", b'{"someText": NaN}', b"[" * 5000, b'{"someText": "\\ud800"}']
)
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(MalformedRequest, match="Invalid JSON payload received"):
        parse(OUTER, body)


def test_every_fault_is_told_and_long_values_are_not_repeated() -> None:
    with pytest.raises(MalformedRequest) as caught:
        read(OUTER, {"foo": 1, "bar": 2, "nItems": "x" * 1_000})
    assert len(caught.value.violations) == 3
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=50), st.booleans(), st.booleans())
def test_bytes_in_either_alphabet_with_or_without_padding(data: bytes, is_urlsafe: bool, is_padded: bool) -> None:
    text = (base64.urlsafe_b64encode if is_urlsafe else base64.b64encode)(data).decode()
    found = read(OUTER, {"blob": text if is_padded else text.rstrip("=")})
    assert found["blob"] == data


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*OUTER.spellings, "x"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        found = read(OUTER, value)
    except MalformedRequest as error:
        assert error.violations
    else:
        assert found.keys() <= OUTER.fields.keys()


def test_spellings() -> None:
    assert camel("output_dimensionality") == "outputDimensionality"
    assert camel("text") == "text"


def test_the_schema_is_of_one_spelling_and_leaves_refused_fields_out() -> None:
    schema = OUTER.schema()
    assert "someText" in schema["properties"]
    assert "never" not in schema["properties"]
    assert schema["additionalProperties"] is False
    assert gemini_wire.BATCH_REQUEST.schema()["properties"]["requests"]["type"] == "array"
