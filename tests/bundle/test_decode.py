"""Documents are read strictly: nothing odd in JSON, every field once and by its type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundle.decode import (
    MAX_DEPTH,
    MAX_INTEGER,
    Fields,
    Key,
    Path,
    compact_json,
    dump_json,
    parse_json,
    spell,
)
from bundle.digest import Digest
from bundle.errors import UsageError


def fault(path: Path, message: str, hint: str) -> UsageError:
    return UsageError(f"{spell(path)} {message}", hint=hint)


def fields(value: object) -> Fields:
    return Fields(value, ("top",), fault)


def parse(text: str) -> object:
    return parse_json(text.encode(), limit=1 << 20)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, -1, true, null, "x"]}', {"a": [1, -1, True, None, "x"]}),
        (f"[{MAX_INTEGER}, {-MAX_INTEGER}]", [MAX_INTEGER, -MAX_INTEGER]),
        ('"\\ud83d\\ude00 \\u00e9"', "\U0001f600 é"),
        ('{"a": {"a": 1}, "b": [{"a": 1}]}', {"a": {"a": 1}, "b": [{"a": 1}]}),
        ('"[{[{"', "[{[{"),
        ('["\\"[", "\\\\"]', ['"[', "\\"]),
        ('[1, "\\u00e9", {"\\u00e9": null}]', [1, "é", {"é": None}]),
        ("0", 0),
    ],
)
def test_plain_json_is_read(text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "duplicate key 'a'"),
        ('{"x": {"a": 1, "\\u0061": 1}}', "duplicate key 'a'"),
        ("NaN", "not an integer: NaN"),
        ("[Infinity]", "not an integer"),
        ("-Infinity", "not an integer"),
        ("1.0", "not an integer: 1.0"),
        ("1e3", "not an integer: 1e3"),
        (str(MAX_INTEGER + 1), "integer out of range"),
        (str(-MAX_INTEGER - 1), "integer out of range"),
        ("9" * 5000, "integer out of range"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper"),
        ("[" * 100_000, "nested deeper"),
        ('{"a":' * 50 + "1" + "}" * 50, "nested deeper"),
        ('"\\ud800"', "surrogates"),
        ('{"\\udfff": 1}', "surrogates"),
        ('[{"a": ["\\ud800"]}]', "surrogates"),
        ("", "Expecting value"),
        ("{} {}", "Extra data"),
        ("{'a': 1}", "Expecting property name"),
        ('{"a": 1,}', "property name|trailing comma"),
        ("[1] // no", "Extra data"),
        ('"\n"', "Invalid control character"),
        ('"open', "Unterminated string"),
    ],
)
def test_odd_json_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


@pytest.mark.parametrize(
    "data", [b"\xff", b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16")]
)
def test_anything_but_utf_8_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"codec|BOM|Expecting"):
        parse_json(data, limit=100)


def test_nesting_to_the_limit_is_read() -> None:
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_too_many_bytes_are_refused_before_they_are_parsed() -> None:
    assert parse_json(b"[1]", limit=3) == [1]
    with pytest.raises(ValueError, match="4 bytes are more than the 3 allowed"):
        parse_json(b"[12]", limit=3)


def test_json_is_written_the_same_every_time() -> None:
    assert dump_json({"b": 1, "a": "é"}) == b'{\n "b": 1,\n "a": "\xc3\xa9"\n}\n'
    assert compact_json({"b": [1, 2], "a": "é"}) == b'{"a":"\xc3\xa9","b":[1,2]}'
    assert json.loads(compact_json({"b": [1, 2]})) == {"b": [1, 2]}


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("images", 0, "name"), "images[0].name"), ((3, 4), "[3][4]"), (("a", "b"), "a.b")],
)
def test_a_path_is_written_as_people_do(path: Path, text: str) -> None:
    assert spell(path) == text


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([], "a list"),
        ("x", "text"),
        (True, "true or false"),
        (None, "nothing"),
        (7, "the number 7"),
    ],
)
def test_what_is_no_mapping_is_refused(value: object, kind: str) -> None:
    with pytest.raises(UsageError, match=f"top must be a mapping, not {kind}"):
        fields(value)


def test_every_field_is_taken_once() -> None:
    read = fields({"a": 1, "b": "x"})
    assert "a" in read
    assert read.integer("a") == 1
    assert "a" not in read
    assert read.names() == ["b"]
    with pytest.raises(UsageError, match="'a' is missing"):
        read.integer("a")
    read.text("b")
    read.done()


def test_defaults_stand_for_what_is_missing() -> None:
    read = fields({"e": None})
    assert read.text("a", "x", pattern="y") == "x"
    assert read.integer("b", 5) == 5
    assert read.flag("c", default=True) is True
    assert list(read.items("d")) == []
    assert read.texts("f") == ()
    assert read.mapping("g") == {}
    assert list(read.objects("h")) == []
    assert read.raw("e", 1) is None


@pytest.mark.parametrize("value", [1, None, [], {}, True])
def test_text_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"top\.a must be text"):
        fields({"a": value}).text("a")


def test_a_number_in_place_of_text_is_told_to_be_quoted() -> None:
    with pytest.raises(UsageError) as caught:
        fields({"a": 12}).text("a")
    assert caught.value.hint == 'write it in quotes: a: "12"'


def test_text_is_matched_from_end_to_end() -> None:
    assert fields({"a": "abc"}).text("a", pattern="[a-c]+") == "abc"
    for text in ("abcd", "dabc", "abc\n", ""):
        with pytest.raises(UsageError, match=r"top\.a is not allowed"):
            fields({"a": text}).text("a", pattern="[a-c]+")


def test_text_is_one_of_the_choices() -> None:
    assert fields({"a": "x"}).text("a", choices=["x", "y"]) == "x"
    with pytest.raises(UsageError) as caught:
        fields({"a": "z"}).text("a", choices=["x", "y"])
    assert (caught.value.message, caught.value.hint) == ("top.a is 'z'", "allowed: x, y")


def test_text_is_no_longer_than_its_limit() -> None:
    assert fields({"a": "xxx"}).text("a", limit=3) == "xxx"
    with pytest.raises(UsageError, match="is not allowed"):
        fields({"a": "xxxx"}).text("a", limit=3)


@pytest.mark.parametrize("value", [True, "1", None, [], 1.5])
def test_a_number_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="must be a whole number"):
        fields({"a": value}).integer("a")


@pytest.mark.parametrize(("value", "fits"), [(1, False), (2, True), (5, True), (6, False)])
def test_a_number_is_within_its_limits(value: int, fits: bool) -> None:
    read = fields({"a": value})
    if fits:
        assert read.integer("a", low=2, high=5) == value
    else:
        with pytest.raises(UsageError, match=f"is {value}, not from 2 to 5"):
            read.integer("a", low=2, high=5)


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_flag_is_true_or_false(value: object) -> None:
    assert fields({"a": True}).flag("a")
    with pytest.raises(UsageError, match="must be true or false"):
        fields({"a": value}).flag("a")


@pytest.mark.parametrize(
    "value", [None, 1, "", "sha256:", "sha256:" + "A" * 64, "sha512:" + "0" * 128]
)
def test_a_digest_is_written_in_one_way(value: object) -> None:
    good = Digest.of(b"")
    assert fields({"a": good}).digest("a") == good
    with pytest.raises(UsageError, match="must be sha256: and 64 lower-case hex digits"):
        fields({"a": value}).digest("a")


@pytest.mark.parametrize("value", [None, "x", {}, 1])
def test_a_list_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="must be a list"):
        fields({"a": value}).items("a")


def test_a_list_that_must_be_there_is_missed() -> None:
    with pytest.raises(UsageError, match="'a' is missing"):
        list(fields({}).objects("a", required=True))


def test_items_come_with_their_places() -> None:
    read = fields({"a": [{"x": 1}, {"x": 2}]})
    assert [item.path for item in read.objects("a")] == [("top", "a", 0), ("top", "a", 1)]
    with pytest.raises(UsageError, match=r"top\.a\[1\] must be a mapping"):
        list(fields({"a": [{}, 1]}).objects("a"))


def test_a_list_of_texts_holds_texts() -> None:
    assert fields({"a": ["x", "y"]}).texts("a", pattern="[xy]") == ("x", "y")
    cases: list[tuple[Any, str]] = [
        (1, "must be text"),
        ("z", "not allowed"),
        ("x" * 4097, "not allowed"),
    ]
    for value, reason in cases:
        with pytest.raises(UsageError, match=rf"top\.a\[1\] (is )?{reason}"):
            fields({"a": ["x", value]}).texts("a", pattern="x+|y")


def test_a_mapping_holds_texts() -> None:
    assert fields({"a": {"x": "1"}}).mapping("a") == {"x": "1"}
    with pytest.raises(UsageError, match=r"top\.a\.x must be text"):
        fields({"a": {"x": 1}}).mapping("a")


def test_what_is_left_over_is_refused_with_the_nearest_known_key() -> None:
    read = fields({"imags": 1})
    with pytest.raises(UsageError) as caught:
        read.done(["images", "charts"])
    assert caught.value.hint == "did you mean 'images'?"
    with pytest.raises(UsageError) as caught:
        fields({"zzz": 1}).done(["images", "charts"])
    assert caught.value.hint == "known here: charts, images"
    with pytest.raises(UsageError, match=r"top\.zzz is not a known key") as caught:
        fields({"zzz": 1}).done()
    assert caught.value.hint == ""


def test_an_unknown_key_is_itself_the_place() -> None:
    places: list[Path] = []

    def note(path: Path, message: str, hint: str) -> UsageError:
        places.append(path)
        return fault(path, message, hint)

    with pytest.raises(UsageError):
        Fields({"a": 1}, (), note).done()
    assert isinstance(places[0][-1], Key)
