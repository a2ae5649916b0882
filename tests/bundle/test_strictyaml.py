"""YAML as a strict subset: what is read, what is refused, and where the fault is said to be."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import strictyaml, yamlparser
from bundle.decode import Fields, Key
from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

BOMB = "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run every test with both parsers: the compiled one may be missing."""
    loader = yaml.SafeLoader if request.param == "python" else yaml.CSafeLoader
    monkeypatch.setattr(yamlparser, "LOADER", loader)
    yield


def read(text: str | bytes, **options: int) -> strictyaml.Document:
    data = text.encode() if isinstance(text, str) else text
    return strictyaml.parse(data, name="f.yaml", **options)


LIES: dict[str, tuple[str | bytes, str, str]] = {
    "anchor": ("a: &x 1", "1:4", "a: anchors (&x) are not allowed"),
    "anchor bomb": (BOMB, "1:4", "a: anchors"),
    "anchor on a list": ("a: [1, &x [2]]", "1:8", "a[1]: anchors"),
    "anchor on a mapping": ("a:\n  - b: &x {c: 1}", "2:8", "a[0].b: anchors"),
    "alias": ("a: *x", "1:4", "a: aliases (*x)"),
    "alias as a key": ("*x : 1", "1:1", "aliases"),
    "tag": ("a: !!str 1", "1:4", "a: YAML tags"),
    "tag of python": ("a: !!python/object/apply:os.system [id]", "1:4", "a: YAML tags"),
    "tag without a name": ("a: ! b", "1:4", "a: YAML tags (!)"),
    "tag on a key": ("!!str a: 1", "1:1", "YAML tags"),
    "merge key": ("a:\n  <<: {b: 1}", "2:3", "a: merge keys"),
    "duplicate key": ("a: 1\nb: 2\na: 3", "3:1", "a: duplicate key, first on line 1"),
    "duplicate key in quotes": ('a: 1\n"a": 2', "2:1", "a: duplicate key"),
    "duplicate key inside": ("x: [{b: 1, b: 2}]", "1:12", "x[0].b: duplicate key"),
    "two documents": ("a: 1\n---\nb: 2", "2:1", "a second document"),
    "directive": ("%YAML 1.1\n---\na: 1", "1:1", "YAML directives"),
    "tag directive": ("%TAG ! tag:e,2000:\n---\na: 1", "1:1", "YAML directives"),
    "list as a key": ("{[a]: 1}", "1:2", "a key must be text"),
    "mapping as a key": ("? {a: 1}\n: 2", "1:3", "a key must be text"),
    "deep flow nesting": (
        "a: " + "[" * 900,
        "1:43",
        "a" + "[0]" * 39 + ": nested deeper than 40",
    ),
    "deep block nesting": ("- " * 5000, "1:81", "[0]" * 40 + ": nested deeper than 40"),
    "tab": ("a:\n\t- b", "2:1", "not valid YAML"),
    "nul": ("a: x\0", "1:5", "the character U+0000 is not allowed"),
    "escaped nul": ('a: "x\\0"', "1:4", "a: NUL"),
    "escape": ("a: 1\nb: \x1b[31m", "2:4", "the character U+001B"),
    "line end of YAML 1.1": ("a: 1 # x\u2028b: 2", "1:9", "the character U+2028"),
    "byte order mark": (b"\xef\xbb\xbfa: 1", "1:1", "a byte order mark"),
    "byte order mark inside": ("a: \ufeff1", "1:4", "a byte order mark"),
    "utf-16": ("a: 1".encode("utf-16"), "1:1", "not UTF-8"),
    "latin-1": ("ä: ü\nb: ".encode() + b"\xe9", "2:4", "not UTF-8"),
    "surrogate": (b"a: \xed\xa0\x80", "1:4", "not UTF-8"),
    "huge number": ("a: " + "9" * 5000, "1:4", "a: the number 999"),
    "number beyond 2**53": ("a: -9007199254740992", "1:4", "a: the number -9007199254740992"),
    "colon in a value": ("a: b: c", "1:5", "not valid YAML"),
    "bracket left open": ("a: [1,\n b: c", "3:1", "not valid YAML"),
    "special character": ("a: @x", "1:4", "not valid YAML"),
    "quote left open": ('a: "x', "1:6", "not valid YAML"),
}


@pytest.mark.parametrize(("text", "where", "message"), LIES.values(), ids=LIES.keys())
def test_a_lie_is_refused_with_its_line_and_column(
    text: str | bytes, where: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    line = where.partition(":")[0]
    if message == "not valid YAML":  # the two parsers place some syntax errors differently
        assert re.match(rf"f\.yaml:\d+:\d+: {message}: ", caught.value.message)
        assert abs(int(caught.value.message.split(":")[1]) - int(line)) <= 1
    else:
        assert caught.value.message.startswith(f"f.yaml:{where}: {message}")
    assert caught.value.exit_code == 2


def test_nesting_without_end_is_refused_by_either_parser() -> None:
    with pytest.raises(UsageError, match=r"f\.yaml:1:\d+: .*nested deeper than 40"):
        read("a: " + "[" * 100_000)


def test_a_tab_is_explained() -> None:
    with pytest.raises(UsageError) as caught:
        read("a:\n\t- b")
    assert "spaces" in caught.value.hint


def test_a_file_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(UsageError, match="larger than 10 bytes"):
        read(b"\xff" * 11, limit=10)
    assert read(b"a: 1      ", limit=10).value == {"a": 1}


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("9007199254740991", 2**53 - 1),
        ("2.50", 2.5),
        ("1e5", 1e5),
        *((text, text) for text in ("no", "on", "yes", "off", "y", "True", "NULL", "None", ".inf")),
        *((text, text) for text in ("017", "0o17", "0x1f", "1_000", "+1", "1:30", "1:30:00")),
        *((text, text) for text in ("2024-01-01", "2024-01-01T00:00:00Z", "1.2.3", "v1", "-", "=")),
        ('"1"', "1"),
        ("'true'", "true"),
        ('""', ""),
        ("|\n  true\n", "true\n"),
        ('"\\u00e9"', "é"),
    ],
)
def test_a_scalar_means_what_it_seems_to(scalar: str, value: object) -> None:
    found = read(f"a: {scalar}" if scalar != "-" else "[a, -]").value
    if scalar == "-":
        assert found == ["a", "-"]
    else:
        assert isinstance(found, dict)
        assert found["a"] == value
        assert isinstance(found["a"], type(value))


def test_every_key_is_text() -> None:
    assert read("1: a\ntrue: b\nnull: c\n2.50: d").value == {
        "1": "a",
        "true": "b",
        "null": "c",
        "2.50": "d",
    }


def test_a_version_without_quotes_is_shown_as_it_was_written() -> None:
    document = read("version: 25.10")
    with pytest.raises(UsageError) as caught:
        Fields(document.value, (), document.fault).text("version")
    assert caught.value.message == ("f.yaml:1:10: version: must be text, not the number 25.10")
    assert caught.value.hint == 'write it in quotes: version: "25.10"'


def test_nothing_at_all_is_null() -> None:
    assert read("").value is None
    assert read("# a comment\n").value is None
    assert read("--- \n...\n").value is None


MARKED = """\
a: 1
list:
  - x
  - name: y
    deep: [1, {k: v}]
"quoted key": z
"""


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ((), (1, 1)),
        (("a",), (1, 4)),
        ((Key("a"),), (1, 1)),
        (("list",), (3, 3)),
        ((Key("list"),), (2, 1)),
        (("list", 0), (3, 5)),
        (("list", 1), (4, 5)),
        (("list", 1, "name"), (4, 11)),
        (("list", 1, Key("name")), (4, 5)),
        (("list", 1, "deep", 1, "k"), (5, 19)),
        (("list", 1, "missing"), (4, 5)),
        (("list", 9), (3, 3)),
        (("quoted key",), (6, 15)),
    ],
)
def test_a_path_leads_to_line_and_column(
    path: tuple[str | int, ...], where: tuple[int, int]
) -> None:
    assert read(MARKED).mark(path) == where


def test_an_unknown_key_is_reported_at_the_key() -> None:
    document = read("a:\n  nmae:   [1, 2]\n")
    fields = Fields(document.value, (), document.fault).child("a")
    with pytest.raises(UsageError) as caught:
        fields.done(["name"])
    assert caught.value.message == "f.yaml:2:3: a.nmae: is not a known key"
    assert caught.value.hint == "did you mean 'name'?"


def test_a_key_cannot_move_the_cursor_of_a_terminal() -> None:
    document = read('"\\e[2J\\nx": 1')
    with pytest.raises(UsageError) as caught:
        Fields(document.value, (), document.fault).done()
    assert caught.value.message.isprintable()


def test_a_column_counts_characters_and_not_bytes() -> None:
    document = read("äöü: [é, b]")
    assert document.where(("äöü", 1)) == "f.yaml:1:10"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "dray.yaml"
    with pytest.raises(UsageError) as caught:
        strictyaml.load(missing, hint="dray init writes one")
    assert str(missing) in caught.value.message
    assert caught.value.hint == "dray init writes one"
    with pytest.raises(UsageError, match="is a directory"):
        strictyaml.load(tmp_path)


def test_an_endless_file_is_read_no_further_than_its_limit() -> None:
    with pytest.raises(UsageError, match="larger than 1048576 bytes"):
        strictyaml.load(Path("/dev/zero"))


TEXT = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | TEXT.filter(lambda text: "\0" not in text),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT.filter(lambda text: "\0" not in text), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(PLAIN)
def test_json_reads_back_equal(value: object) -> None:
    assert read(json.dumps(value)).value == value


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60) | st.text("[]{}:,-?&*!|>'\"%@#\n\t a1.<", max_size=60))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        document = read(text.encode("utf-8", "surrogatepass"))
    except UsageError as error:
        assert re.match(r"f\.yaml:\d+:\d+: ", error.message)
    else:
        assert document.mark(()) >= (1, 1)


# The parser in Python is the slow way out: nothing is promised of it.
@pytest.mark.parametrize("_parser", ["libyaml"], indirect=True)
def test_a_lock_of_thirty_thousand_lines_takes_seconds_and_no_more() -> None:
    line = f"- {{role: layer, size: 123, digest: 'sha256:{'ab' * 32}', mediaType: a/b}}\n"
    began = time.process_time()
    document = read(line * 30_000, limit=64 << 20)
    assert time.process_time() - began < 20
    assert document.mark((29_999, "digest")) == (30_000, 36)


def test_without_libyaml_a_large_file_is_refused_and_not_read_for_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(yamlparser, "LOADER", yaml.SafeLoader)
    with pytest.raises(UsageError, match=r"f\.yaml:1:1: without libyaml no more than") as caught:
        read(" " * (yamlparser.SLOW_LIMIT + 1), limit=64 << 20)
    assert "wheel" in caught.value.hint


def test_documents_without_end_in_one_file_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strictyaml, "_MOST_DOCUMENTS", 2)
    with pytest.raises(UsageError, match=r"f\.yaml:3:1: more than 2 documents"):
        strictyaml.parse_all(b"--- a\n--- b\n--- c\n", name="f.yaml")
