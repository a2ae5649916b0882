from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.sources import plaintree


def test_scalars_stay_text() -> None:
    text = b"a: 1.10\nb: '1'\nc: true\nd: ~\ne:\nf: ''\ng: null\nh: 'null'\ni: 2025-03-18\n"
    assert plaintree.read(text) == {
        "a": "1.10",
        "b": "1",
        "c": "true",
        "d": None,
        "e": None,
        "f": "",
        "g": None,
        "h": "null",
        "i": "2025-03-18",
    }


def test_only_what_is_asked_for_is_kept() -> None:
    text = b"x: [1, {y: 2}]\nentries:\n  one: [{a: b}]\n  two: {c: [d]}\nlast: 1\n"
    assert plaintree.read(text, ("entries", "two")) == {"c": ["d"]}
    assert plaintree.read(text, ("entries", "three")) is None
    assert plaintree.read(text, ("none", "two")) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"a: 1\na: 2\n", "line 2: duplicate key 'a'"),
        (b"a: &x 1\nb: *x\n", "line 2: an alias"),
        (b"a: &x [*x]\n", "an alias"),
        (b"a: !!python/object/apply:os.system [id]\n", "a tag"),
        (b"a: !!int 1\n", "a tag"),
        (b"a: !own 1\n", "a tag"),
        (b"? [a]\n: 1\n", "a key that is no text"),
        (b"? {a: 1}\n: 1\n", "a key that is no text"),
        (b"a: 1\n---\nb: 2\n", "more than one document"),
        (b"a: [1\n", "line"),
        (b"a: 'x\n", "line"),
        (b"a: 1\n b: 2\n", "line"),
        (b"\tx: 1\n", "line"),
        (b"%YAML 9.9\n---\na: 1\n", "line"),
        (b"a: \x00\n", "no YAML|line"),
        (b"\xff\xfea\x00", "utf-8"),
        (b"a: " + b"[" * 41 + b"]" * 41, "nested deeper"),
        (b"a: " + b"[" * 500_000, "nested deeper"),
        (b"a: " + b"{b: " * 500_000, "nested deeper"),
        (b"- " * 100_000, "nested deeper"),
    ],
    ids=lambda value: repr(value[:24]),
)
@pytest.mark.parametrize("path", [(), ("a",), ("z",)])
def test_documents_that_are_odd_are_refused(text: bytes, words: str, path: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"{words}|no mapping with"):
        plaintree.read(text, path)


trees = st.recursive(
    st.text(min_size=1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(trees)
@settings(deadline=None)
def test_what_a_writer_of_yaml_writes_is_read_back(tree: object) -> None:
    text = yaml.safe_dump(tree, default_style='"', allow_unicode=False).encode()
    assert plaintree.read(text.replace(b"!!str ", b"")) == tree


@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!'\"\n ,#|>?%@", max_size=60).map(str.encode))
@settings(deadline=None, max_examples=150)
def test_any_bytes_give_a_tree_or_a_value_error(data: bytes) -> None:
    for path in ((), ("a",)):
        try:
            plaintree.read(data, path)
        except ValueError:
            continue
