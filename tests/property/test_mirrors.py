"""Mirrors, for any way in which sources were given targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bundle.artifact import Artifact, Content
from bundle.digest import Digest
from importer.relocate import mirrors
from importer.relocate.kyverno import pattern_of
from importer.relocate.world import Stored

if TYPE_CHECKING:
    from importer.relocate.mirrors import Mirror, Mirrors

HOSTS = ("nvcr.io", "ghcr.io", "quay.io:8443")
PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
SOURCES = st.builds("{}/{}".format, st.sampled_from(HOSTS), PATHS)
TARGETS = st.builds("t.example/{}".format, PATHS)


@st.composite
def mapped(draw: st.DrawFn) -> dict[str, str]:
    """Some below one prefix as they are, some anywhere."""
    found = {}
    for source in draw(st.lists(SOURCES, min_size=1, max_size=8, unique=True)):
        plain = f"t.example/p/{source.partition('/')[2]}"
        found[source] = draw(st.one_of(st.just(plain), TARGETS))
    return found


def stored(source: str, target: str) -> Stored:
    root = Digest.of(source.encode())
    content = Content("manifest", "application/vnd.oci.image.manifest.v1+json", root, 1)
    artifact = Artifact("image", f"{source}@{root}", source, "", root, (content,))
    host, _, path = target.partition("/")
    return Stored(artifact, host, path)


def led(found: Mirrors, name: str) -> str | None:
    """Return where the rules lead a repository: the longest that fits, as CRI-O chooses."""
    fits = [rule for rule in found.rules if f"{name}/".startswith(f"{rule.source}/")]
    if not fits:
        return None
    rule = max(fits, key=lambda one: len(one.source))
    return rule.target + name.removeprefix(rule.source)


@given(pairs=mapped())
def test_each_loaded_repository_is_led_to_where_it_is(pairs: dict[str, str]) -> None:
    found = mirrors.of([stored(source, target) for source, target in pairs.items()])
    for source, target in pairs.items():
        assert led(found, source) == target


@given(pairs=mapped(), other=SOURCES)
def test_no_other_name_is_led_to_what_another_source_brought(
    pairs: dict[str, str], other: str
) -> None:
    found = mirrors.of([stored(source, target) for source, target in pairs.items()])
    place = led(found, other)
    if other not in pairs and place is not None:
        host = other.partition("/")[0]
        brought = {source.partition("/")[0] for source, t in pairs.items() if t == place}
        assert brought <= {host} or _alone(found, other)


def _alone(found: Mirrors, name: str) -> bool:
    """Whether only a rule about one repository, which no prefix bounds, is meant."""
    fits = [rule for rule in found.rules if f"{name}/".startswith(f"{rule.source}/")]
    return max(fits, key=lambda one: len(one.source)).alone


@given(pairs=mapped())
def test_what_is_whole_has_every_path_as_it_was(pairs: dict[str, str]) -> None:
    found = mirrors.of([stored(source, target) for source, target in pairs.items()])
    for host, target in found.whole.items():
        own = {s: t for s, t in pairs.items() if s.startswith(f"{host}/")}
        assert {t.removeprefix(target) for t in own.values()} == {s.removeprefix(host) for s in own}


@given(pairs=mapped(), tag=st.sampled_from(["", ":v1", "@sha256:" + "0" * 64]))
def test_a_policy_renames_each_name_once_and_as_the_mirrors_lead(
    pairs: dict[str, str], tag: str
) -> None:
    import re

    found = mirrors.of([stored(source, target) for source, target in pairs.items()])
    for source, target in pairs.items():
        fits = [(rule, re.search(pattern_of(rule), source + tag)) for rule in found.rules]
        made = {_renamed(rule, match[1]) for rule, match in fits if match}
        assert made == {target + tag}


def _renamed(rule: Mirror, rest: str) -> str:
    return rule.target + rest
