"""What is read of manifests of Hauler and of lists of aicr, and what is refused."""

from __future__ import annotations

import json

import pytest
import yaml

from bundle.errors import UsageError
from tests.bundler.adopt.lists import AICR, HAULER, chart, images, read

FULL = "nvcr.io/nvidia/cuda:12.6.0"


def test_images_and_charts_of_hauler_are_read_with_their_lines() -> None:
    found = read(HAULER)
    assert [(i.name, i.platform, str(i.place)) for i in found.images] == [
        ("nvcr.io/nvidia/gpu-operator:v25.3.0", "linux/amd64", "list.yaml:11"),
        ("registry.k8s.io/nfd/node-feature-discovery:v0.17.2", "linux/arm64", "list.yaml:12"),
    ]
    assert [(c.repo, c.name, c.version, c.discover) for c in found.charts] == [
        ("https://helm.ngc.nvidia.com/nvidia", "gpu-operator", "v25.3.0", True),
        ("oci://ghcr.io/nvidia/kai-scheduler", "kai-scheduler", "v0.5.1", False),
    ]
    assert found.findings == []


@pytest.mark.parametrize("text", [AICR, json.dumps(yaml.safe_load(AICR), indent=2)])
def test_a_list_of_aicr_is_read_as_yaml_and_as_json(text: str) -> None:
    found = read(text)
    assert [(i.name, i.why) for i in found.images] == [
        ("nvcr.io/nvidia/gpu-operator:v26.7.1", "of gpu-operator"),
        ("registry.k8s.io/nfd/node-feature-discovery:v0.19.0", "of gpu-operator"),
    ]
    [made] = found.charts
    assert made.why == "of gpu-operator, into namespace gpu-operator"
    assert not made.discover
    assert found.findings == []
    assert not found.everywhere


def test_lists_that_go_writes_as_null_are_empty() -> None:
    text = "images: null\ncharts: null\ncomponents:\n- {component: a, type: helm, images: null}\n"
    assert read(text).images == []


def test_the_first_alpha_of_hauler_called_a_name_ref() -> None:
    text = images(FULL, kind="v1alpha1").replace("name: nv", "ref: nv")
    assert [image.name for image in read(text).images] == [FULL]


def test_the_registry_that_a_manifest_gives_itself_completes_its_names() -> None:
    note = "metadata: {annotations: {hauler.dev/registry: quay.io}}"
    text = images("jetstack/cert-manager:v1", FULL).replace("metadata: {name: x}", note)
    assert [image.name for image in read(text).images] == ["quay.io/jetstack/cert-manager:v1", FULL]


def test_thick_charts_bring_their_extra_images() -> None:
    text = chart(extraImages=f'[{{ref: "{FULL}"}}]').replace("kind: Charts", "kind: ThickCharts")
    text = text.replace("content.hauler", "collection.hauler")
    found = read(text)
    assert [image.name for image in found.images] == [FULL]
    assert found.charts[0].discover


BARE = [
    "nginx",
    "nginx:1.27",
    "bitnami/redis:7",
    "driver:570",
    "docker.io/nginx:1",
    "a b",
    FULL[:-7],
]


@pytest.mark.parametrize("name", BARE)
def test_a_name_that_may_mean_several_images_needs_an_answer(name: str) -> None:
    found = read(images(json.dumps(name)))
    assert found.images == []
    with pytest.raises(UsageError, match="does not say which image it means") as caught:
        found.check()
    assert "list.yaml:6: " in str(caught.value)
    assert f"--answer '{name}=" in caught.value.hint


@pytest.mark.parametrize("name", BARE)
def test_an_answer_stands_for_the_name_wherever_it_is_written(name: str) -> None:
    found = read(images(json.dumps(name), json.dumps(name)), {name: FULL})
    found.check()
    assert [(image.name, image.why) for image in found.images] == [(FULL, f"written {name}")] * 2


def test_an_image_that_is_left_behind_on_an_answer_is_told() -> None:
    found = read(images("nginx", FULL), {"nginx": "skip"})
    found.check()
    assert [image.name for image in found.images] == [FULL]
    assert [str(finding) for finding in found.findings] == [
        "list.yaml:6: nginx is left behind, as answered"
    ]


def test_all_names_that_need_an_answer_are_told_at_once() -> None:
    with pytest.raises(UsageError, match=r"2 names(?s:.*)nginx(?s:.*)redis"):
        read(images("nginx", FULL, "redis", "nginx")).check()


def test_an_answer_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing is called 'other'"):
        read(images(FULL), {"other": FULL}).check()


def test_an_answer_that_is_no_full_name_is_none() -> None:
    with pytest.raises(UsageError, match="no registry host"):
        read(images("nginx"), {"nginx": "library/nginx:1"}).check()


WARNS: dict[str, tuple[str, str]] = {
    "a warning of a component": (
        AICR.replace(
            "    type: helm\n", "    type: helm\n    warnings: ['helm template failed: x']\n"
        ),
        "aicr about gpu-operator: helm template failed: x",
    ),
    "a warning of the list": (AICR + "warnings: [values not loaded]\n", "aicr: values not loaded"),
    "a comment that warns": (
        "# WARNING: three components could not be rendered\n" + images(FULL),
        "list.yaml:1: a comment says: WARNING: three components could not be rendered",
    ),
    "a comment behind a value": (
        images(f"{FULL}  # TODO pin the digest"),
        "list.yaml:6: a comment says: TODO pin the digest",
    ),
    "a manifest that aicr made": (
        images(FULL).replace("name: x", "name: aicr-images"),
        "aicr leaves its warnings out",
    ),
    "a signature to verify": (
        images(FULL, more="      key: cosign.pub\n"),
        f"key of {FULL} asks that the signature is verified",
    ),
    "an identity to verify": (
        images(FULL, more="      certificate-identity-regexp: .*\n"),
        "certificate-identity-regexp",
    ),
    "a key for all": (
        images(FULL).replace("name: x", "annotations: {hauler.dev/key: a.pub}"),
        "hauler.dev/key: 'a.pub' asks that",
    ),
    "an annotation of tomorrow": (
        images(FULL).replace("name: x", "annotations: {hauler.dev/new: a}"),
        "hauler.dev/new: 'a' is not known here",
    ),
    "another name at the target": (images(FULL, more="      rewrite: a/b\n"), "write a map: rule"),
    "an image of a daemon": (images(FULL, more="      local: true\n"), "from a daemon"),
    "values in files": (chart(valuesFiles="[a.yaml]"), "valuesFiles of app names values"),
    "dependencies": (chart(addDependencies="true"), "addDependencies of app wants"),
    "a login": (chart(usernameEnv="USER"), "usernameEnv of app names a login"),
    "no TLS": (chart(plainHTTP="true"), "plainHTTP of app"),
    "files": (
        "apiVersion: content.hauler.cattle.io/v1\nkind: Files\nmetadata: {name: f}\n"
        "spec: {files: [{path: a}]}\n",
        "list.yaml:2: Files 'f' is not taken over: write files: with a sha256",
    ),
}


@pytest.mark.parametrize("case", WARNS)
def test_what_the_spec_will_not_do_is_told(case: str) -> None:
    text, words = WARNS[case]
    found = read(text)
    assert any(words in str(finding) for finding in found.findings), found.findings
    assert found.images or found.charts or case == "files"


@pytest.mark.parametrize("quiet", ["key: ''", "use-tlog-verify: false", "rewrite:", "local: false"])
def test_a_field_that_is_not_set_is_no_warning(quiet: str) -> None:
    assert read(images(FULL, more=f"      {quiet}\n")).findings == []


@pytest.mark.parametrize("comment", ["# made by hand", "#", "# 12 images, 3 charts", "text#fails"])
def test_a_comment_that_warns_of_nothing_is_no_warning(comment: str) -> None:
    assert read(f"{images(FULL)}\n{comment if comment[0] == '#' else ''}\n").findings == []


REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "list.yaml is empty"),
    "only comments": ("# nothing\n", "list.yaml is empty"),
    "text": ("nvcr.io/nvidia/cuda:1\n", "no list that is known here"),
    "a list of names": ("- nvcr.io/nvidia/cuda:1\n", "no list that is known here"),
    "a package of Zarf": (
        "apiVersion: zarf.dev/v1alpha1\nkind: ZarfPackageConfig\n",
        "ZarfPackage",
    ),
    "a spec": ("apiVersion: dray/v1\nstream: a\n", "no list that is known here"),
    "a lock": ("apiVersion: dray/v1\nkind: Lock\n", "this is a 'Lock'"),
    "another version": (images(FULL, kind="v2"), "apiVersion: is 'content.hauler.cattle.io/v2'"),
    "another kind": (images(FULL).replace("kind: Images", "kind: Models"), "kind: is 'Models'"),
    "no kind": (images(FULL).replace("kind: Images\n", ""), "'kind' is missing"),
    "an unknown field of an image": (
        images(FULL, more="      tag: 1\n"),
        "tag: is not a known key",
    ),
    "a field that is misspelt": (chart(versoin="1"), "versoin: is not a known key"),
    "an unknown field of a spec": (images(FULL) + "  files: []\n", "files: is not a known key"),
    "an unknown field on top": (images(FULL) + "status: {}\n", "status: is not a known key"),
    "an image without a name": (
        images(FULL).replace("name: nvcr", "platform: nvcr"),
        "'name' is m",
    ),
    "a name that is a number": (images("1.20"), "must be text"),
    "two ways to name an image": (images(FULL, more="      ref: a\n"), "ref: is not a known key"),
    "a chart of that host": (chart(repoURL=None), "the chart is a file of that host"),
    "a chart without a version": (chart(version=None), "Hauler takes the newest"),
    "a flag that is text": (chart(addImages="'yes'"), "must be true or false"),
    "a key twice": (images(FULL) + "kind: Images\n", "duplicate key"),
    "an alias": ("a: &a 1\nb: *a\n", "anchors"),
    "an unknown field of aicr": (AICR + "digests: []\n", "digests: is not a known key"),
    "an unknown field of a component": (
        AICR.replace("    type: helm\n", "    type: helm\n    skipped: true\n"),
        "skipped: is not a known key",
    ),
    "a component of an unknown type": (AICR.replace("type: helm", "type: flux"), "type: is 'flux'"),
    "an image that no component has": (
        AICR.replace("images:\n  - nv", "images:\n  - quay.io/a/b:1\n  - nv", 1),
        "components: 'quay.io/a/b:1' is missing here",
    ),
    "an image that only a component has": (
        AICR.replace("  - nvcr.io/nvidia/gpu-operator:v26.7.1\n", "", 1),
        "images: 'nvcr.io/nvidia/gpu-operator:v26.7.1' is missing here",
    ),
    "a chart without a repository": (
        AICR.replace("https://helm.ngc.nvidia.com/nvidia", "''"),
        "repository: is empty",
    ),
    "bytes that are no text": ("\ufeff" + images(FULL), "byte order mark"),
    "a second document that is none": (images(FULL) + "---\n- a\n", "list.yaml:8:1: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_is_refused_with_its_place(case: str) -> None:
    text, words = REFUSED[case]
    with pytest.raises(UsageError) as caught:
        read(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("list.yaml")
