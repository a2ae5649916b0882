"""The spec that comes of it: every line has its source, and nothing that was said is lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundle.errors import UsageError
from bundler import spec
from tests.bundler.adopt.lists import AICR, HAULER, chart, images, spelled

if TYPE_CHECKING:
    from bundler.spec import Spec

FULL = "nvcr.io/nvidia/cuda:12.6.0"


def parsed(text: str) -> Spec:
    return spec.parse(text.encode(), Path("dray.yaml"))


def test_the_spec_of_a_manifest_says_all_that_it_said() -> None:
    made = spelled(HAULER.replace("helm.ngc.nvidia.com/nvidia", "charts.example.com"))
    assert made.startswith("# Read from lists of other tools by `dray adopt`")
    rest = made.partition("stream: lab\n")[2]
    assert (
        rest
        == """\
# Hauler takes all platforms where none is named.
platforms: all

images:
  # list.yaml:1: What the cluster needs.
  # list.yaml:10: the operator itself
  # list.yaml:11
  - {name: nvcr.io/nvidia/gpu-operator:v25.3.0, platforms: [linux/amd64]}
  # list.yaml:12
  - {name: registry.k8s.io/nfd/node-feature-discovery:v0.17.2, platforms: [linux/arm64]}

charts:
  # list.yaml:21
  - {repo: https://charts.example.com, name: gpu-operator, version: v25.3.0, images: discover}
  # list.yaml:25
  - {repo: oci://ghcr.io/nvidia/kai-scheduler, name: kai-scheduler, version: v0.5.1}
# list.yaml:27: last tested
"""
    )
    found = parsed(made)
    assert found.charts[0].images == "discover"
    assert found.images[1].platforms == ("linux/arm64",)


def test_a_list_of_aicr_names_no_platform_and_gets_the_usual_one() -> None:
    made = spelled(AICR)
    assert "platforms: [linux/amd64]" in made
    assert "# list.yaml:2 of gpu-operator\n  - nvcr.io/nvidia/gpu-operator:v26.7.1\n" in made
    assert parsed(made).platforms == ("linux/amd64",)


def test_images_of_hauler_without_a_platform_are_wanted_for_all() -> None:
    assert parsed(spelled(images(FULL))).platforms == "all"


def test_platforms_that_are_asked_for_hold_for_every_image() -> None:
    made = parsed(spelled(HAULER, platforms=("linux/amd64", "linux/arm64")))
    assert made.platforms == ("linux/amd64", "linux/arm64")
    assert {image.platforms for image in made.images} == {()}


def test_an_image_that_stands_there_twice_is_one_entry_with_both_places() -> None:
    made = spelled(images(FULL, FULL))
    assert f"  # list.yaml:6\n  # list.yaml:7\n  - {FULL}\n" in made
    assert len(parsed(made).images) == 1


def test_an_image_for_two_platforms_is_one_entry() -> None:
    one, other = "      platform: linux/amd64\n", "      platform: linux/arm64\n"
    made = spelled(images(FULL, more=one) + f"    - name: {FULL}\n{other}")
    assert parsed(made).images[0].platforms == ("linux/amd64", "linux/arm64")


def test_warnings_are_kept_with_the_reason_for_which_they_were_accepted() -> None:
    made = spelled("# WARNING: a\n" + images(FULL), accepted="looked at by hand")
    assert "# Warnings, accepted because: looked at by hand\n#   list.yaml:1: a comment" in made


@pytest.mark.parametrize(
    "hostile",
    [
        "a\\nimages: [evil.example/x:1]",
        "a\\r\\n- evil.example/x:1",
        "\\u2028images: []",
        "\\e[2J",
        "\\u202egnp.exe",
        "x" * 9000,
    ],
)
def test_no_warning_gets_out_of_its_comment(hostile: str) -> None:
    text = AICR.replace("    type: helm\n", f'    type: helm\n    warnings: ["{hostile}"]\n')
    made = spelled(text, accepted="r")
    assert [entry.name for entry in parsed(made).images] == [
        entry.name for entry in parsed(spelled(AICR)).images
    ]
    assert "\x1b" not in made
    assert "\u202e" not in made
    assert max(map(len, made.splitlines())) < 5000


REFUSED = {
    "a range": (chart(version="'>=1.0'"), "exact version"),
    "a version that is no version": (chart(version="latest"), "exact version"),
    "a repository that is a path": (chart(repoURL="."), "https://"),
    "a password": (chart(repoURL="https://u:p@charts.example.com"), "password"),
    "plain HTTP": (chart(repoURL="http://charts.example.com"), "plain HTTP"),
    "a chart with a path in its name": (chart(name="../a"), "name"),
    "a platform that is none": (images(FULL, more="      platform: amd64\n"), "os/arch"),
    "words in a name": (chart(name="'a, version: 1'"), "name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_spec_refuses_is_refused_with_its_place_in_the_list(case: str) -> None:
    text, words = REFUSED[case]
    with pytest.raises(UsageError) as caught:
        spelled(text)
    assert words in f"{caught.value} {caught.value.hint}"
    assert str(caught.value).startswith("list.yaml:")
    assert "u:p@" not in str(caught.value)


def test_files_that_name_nothing_make_no_spec() -> None:
    with pytest.raises(UsageError, match="name nothing to carry"):
        spelled(images())


@pytest.mark.parametrize("word", ["true", "null"])
def test_a_word_of_yaml_stays_text(word: str) -> None:
    assert parsed(spelled(chart(name=f"'{word}'"))).charts[0].name == word
