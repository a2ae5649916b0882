"""From a spec to a lock: every entry is tried, and the lock is all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from bundle.digest import Digest
from bundle.errors import NotFound, SourceError, UsageError, VerificationError
from bundler.lock import LockedArtifact, Origin
from bundler.resolve import Upstreams, resolve
from tests.bundler.sources.fakeregistry import FakeRegistry
from tests.bundler.specs import HEAD, read
from tests.bundler.world import locked

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.registry import Registry
    from bundler.lock import Lock


@pytest.fixture
def fake() -> FakeRegistry:
    """The one repository that every registry of these tests has."""
    return FakeRegistry()


def lock(fake: FakeRegistry, text: str, **sources: object) -> Lock:
    """Resolve a spec whose registries are all the fake one; other sources by their names."""
    spec = read(HEAD + text)
    upstreams = Upstreams(spec, lambda _text: None)
    for host in ("up.example", "other.example"):
        upstreams._registries[host] = cast("Registry", fake)
    upstreams.__dict__.update(sources)
    return resolve(spec, upstreams)


class Resolving:
    """A source whose one method does as the test says."""

    def __init__(self, result: Callable[[], LockedArtifact]) -> None:
        self.result = result

    def resolve(self, _entry: object) -> LockedArtifact:
        return self.result()


def fails(error: Exception) -> Resolving:
    def result() -> LockedArtifact:
        raise error

    return Resolving(result)


def names(made: Lock) -> list[str]:
    return [one.artifact.name for one in made.artifacts]


def test_a_lock_is_in_the_order_of_kinds_and_names_whatever_the_specs_order_is(
    fake: FakeRegistry,
) -> None:
    fake.image("one", "1", "2")
    made = lock(
        fake,
        "images: [up.example/b:2, up.example/a:1, other.example/a:1]\n"
        "charts: ['oci://up.example/chart:1']\n",
    )
    assert names(made) == [
        "up.example/chart:1",
        "other.example/a:1",
        "up.example/a:1",
        "up.example/b:2",
    ]
    assert [one.artifact.kind for one in made.artifacts] == ["chart", "image", "image", "image"]
    assert made.stream == "s"


def test_an_entry_with_a_tag_and_a_digest_is_pinned_by_the_digest_and_keeps_the_tag(
    fake: FakeRegistry,
) -> None:
    image = fake.image("one")
    fake.image("moved since", "1")
    (one,) = lock(fake, f"images: ['up.example/a:1@{image.digest}']\n").artifacts
    assert one.artifact.root == image.digest
    assert one.artifact.contents[-1].tags == ("1",)


def test_a_pattern_pins_every_tag_that_matches(fake: FakeRegistry) -> None:
    for tag in ("23.1-py3", "24.12-py3", "25.01-py3", "26.01-py3", "latest"):
        fake.image(tag, tag)
    made = lock(fake, "images: [{name: up.example/a, tags: '>=24.12-py3, <26'}]\n")
    assert names(made) == ["up.example/a:24.12-py3", "up.example/a:25.01-py3"]


def test_a_pattern_without_a_match_is_refused(fake: FakeRegistry) -> None:
    fake.image("old", "1.0")
    with pytest.raises(SourceError, match=r"no tag of up\.example/a matches '>=2'") as caught:
        lock(fake, "images: [{name: up.example/a, tags: '>=2'}]\n")
    assert "pattern" in caught.value.hint


def test_platforms_of_an_entry_go_before_those_of_the_spec(fake: FakeRegistry) -> None:
    images = {
        f"linux_{machine}": fake.image(machine, platform=f"linux/{machine}")
        for machine in ("amd64", "arm64")
    }
    root = fake.index("1", **images)
    made = lock(
        fake,
        "images:\n- up.example/a:1\n"
        "- {name: other.example/a, tag: '1', platforms: [linux/arm64]}\n",
    )
    roots = {one.artifact.name: one.artifact.root for one in made.artifacts}
    assert roots == {
        "up.example/a:1": images["linux_amd64"].digest,
        "other.example/a:1": images["linux_arm64"].digest,
    }
    (one,) = lock(fake, "platforms: all\nimages: ['up.example/a:1']\n").artifacts
    assert one.artifact.root == root.digest


def test_a_charts_build_number_is_spelt_as_its_tag(fake: FakeRegistry) -> None:
    chart = fake.image("chart", "1.0_7", platform="linux/s390x")
    (one,) = lock(fake, "charts: ['oci://up.example/c:1.0+7']\n").artifacts
    assert (one.artifact.root, one.artifact.name) == (chart.digest, "up.example/c:1.0_7")


def test_an_entry_that_is_there_twice_is_locked_once(fake: FakeRegistry) -> None:
    for tag in ("1.0", "2.0"):
        fake.image(tag, tag)
    text = "images:\n- up.example/a:1.0\n- {name: up.example/a, tags: '>=1.0'}\n"
    assert names(lock(fake, text)) == ["up.example/a:1.0", "up.example/a:2.0"]


def test_one_failure_is_raised_as_it_is(fake: FakeRegistry) -> None:
    fake.image("one", "1")
    with pytest.raises(NotFound, match="no manifest 2"):
        lock(fake, "images: [up.example/a:1, up.example/a:2]\n")


def test_all_failures_are_told_at_once(fake: FakeRegistry) -> None:
    with pytest.raises(NotFound) as caught:
        lock(fake, "images: [up.example/a:1, up.example/a:2, up.example/a:3]\n")
    assert caught.value.message.startswith("3 of 3 entries cannot be pinned:")
    for tag in (1, 2, 3):
        assert f"no manifest {tag}" in caught.value.message
    assert "all entries or none" in caught.value.hint


def test_an_upstream_with_other_bytes_is_its_failure_and_no_verification_of_ours(
    fake: FakeRegistry,
) -> None:
    with pytest.raises(SourceError, match="the list was changed") as caught:
        lock(
            fake,
            "models: [{ngc: 'nvidia/m:1'}]\n",
            ngc=fails(VerificationError("the list was changed")),
        )
    assert caught.value.exit_code == 6
    assert "run again" in caught.value.hint


def test_failures_of_several_kinds_are_one_of_the_source(fake: FakeRegistry) -> None:
    text = "images: ['up.example/a:1']\nmodels: [{ngc: 'nvidia/m:1'}]\n"
    with pytest.raises(SourceError) as caught:
        lock(fake, text, ngc=fails(VerificationError("the list was changed", hint="ask them")))
    assert type(caught.value) is SourceError
    assert "the list was changed\n    ask them" in caught.value.message


def test_a_bug_in_a_source_is_not_taken_for_an_answer(fake: FakeRegistry) -> None:
    with pytest.raises(ZeroDivisionError):
        lock(fake, "models: [{ngc: 'nvidia/m:1'}]\n", ngc=fails(ZeroDivisionError()))


def test_a_policy_that_nobody_could_enforce_is_refused_before_anything_is_asked(
    fake: FakeRegistry,
) -> None:
    with pytest.raises(UsageError, match="max-severity"):
        lock(fake, "images: ['up.example/a:1']\npolicy: {max-severity: hihg}\n")
    assert fake.asked == []


def test_two_sources_that_contradict_each_other_are_refused(fake: FakeRegistry) -> None:
    found = iter([locked("same", b"1"), locked("same", b"2")])
    one, two = (next(found), next(found))
    other = LockedArtifact(
        type(two.artifact)(
            "file",
            "another",
            two.artifact.repository,
            two.artifact.version,
            two.artifact.root,
            two.artifact.contents,
        ),
        two.origin,
        two.contents,
    )
    text = (
        "models: [{ngc: 'nvidia/m:1'}]\n"
        f"files: [{{url: 'https://up.example/f', sha256: {Digest.of(b'x').hex}, path: f}}]\n"
    )
    with pytest.raises(UsageError, match=r"same:1\.0 is pinned to two digests") as caught:
        lock(fake, text, ngc=Resolving(lambda: one), https=Resolving(lambda: other))
    assert caught.value.hint == "keep one of the two entries"


def test_each_kind_of_origin_is_opened_by_its_source(fake: FakeRegistry) -> None:
    spec = read(HEAD + "images: ['up.example/a:1']\n")
    upstreams = Upstreams(spec, lambda _text: None)
    opened: list[str] = []

    class Opening:
        def __init__(self, name: str) -> None:
            self.name = name

        def opener(self, _locked: object, _content: object) -> None:
            opened.append(self.name)

        def close(self) -> None:
            opened.append(f"close {self.name}")

    for name in ("registries", "helm", "ngc", "https"):
        upstreams.__dict__[name] = Opening(name)
    for kind in ("registry", "helm", "ngc", "https"):
        one = locked("a", b"1")
        upstreams.opener(LockedArtifact(one.artifact, Origin(kind, {}), ()), one.contents[0])
    assert opened == ["registries", "helm", "ngc", "https"]
    upstreams.close()
    assert opened[4:] == ["close helm", "close ngc", "close https"]
