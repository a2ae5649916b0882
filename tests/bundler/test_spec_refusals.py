"""A table of lies in a spec: each is refused with line, column, message and hint."""

from __future__ import annotations

import pytest

from bundle.errors import UsageError
from tests.bundler.specs import CUDA, HEAD, HEX, IMAGE, read

SECRET = "hunter2"
NGC_KEY = "{name: a, ngc: models}"
LIES: dict[str, tuple[str, str, str, str]] = {
    # what follows HEAD (two lines), LINE:COLUMN, part of the message, part of the hint
    "unknown key": (f"imagse: [{CUDA}]", "3:1", "imagse: is not a known key", "'images'"),
    "unknown key in an entry": (
        "images:\n  - {nmae: nvcr.io/a/b, tag: x}",
        "4:6",
        "images[0].nmae: is not a known key",
        "'name'",
    ),
    "duplicate key": (IMAGE + IMAGE, "4:1", "images: duplicate key", "remove"),
    "tag of YAML": ("images: !!set {a}", "3:9", "images: YAML tags", ""),
    "anchors": ("images: &a [*a]", "3:9", "images: anchors", ""),
    "merge key": ("nodes: {<<: {os: [a]}}", "3:9", "nodes: merge keys", ""),
    "two documents": (IMAGE + "---\n" + IMAGE, "4:1", "a second document", ""),
    "tab": ("images:\n\t- a", "4:1", "not valid YAML", "spaces"),
    "a lock": ("kind: Lock", "3:7", "kind: a spec has no kind", "spec that the lock"),
    "nothing to carry": ("images:\n", "1:1", "names nothing", "at least one"),
    "images as a mapping": ("images: {a: b}", "3:9", "images: must be a list", ""),
    "images as text": (f"images: {CUDA}", "3:9", "images: must be a list", ""),
    "number as an image": ("images: [12]", "3:10", "images[0]: must be a mapping", ""),
    "no host": ("images: ['cuda:12.6']", "3:10", "has no registry host", "full name"),
    "no host in a path": ("images: ['nvidia/cuda:12']", "3:10", "has no registry", "never guesses"),
    "short docker name": ("images: ['docker.io/ubuntu:1']", "3:10", "is short", "library/ubuntu"),
    "no tag": ("images: [nvcr.io/a/b]", "3:10", "neither a tag nor a digest", "nvcr.io/a/b:TAG"),
    "no tag in a mapping": ("images: [{name: nvcr.io/a/b}]", "3:17", "neither a tag nor", "TAG"),
    "empty tag": ("images: ['nvcr.io/a/b:']", "3:10", "cannot be a tag", ""),
    "capital letters": ("images: ['nvcr.io/A/b:1']", "3:10", "has capital letters", ""),
    "bad digest": ("images: ['nvcr.io/a/b@sha256:12']", "3:10", "is not sha256:", ""),
    "short digest": ("images: [{name: nvcr.io/a/b, digest: x}]", "3:38", "must be sha256:", ""),
    "image as a URL": ("images: ['https://nvcr.io/a/b:1']", "3:10", "without ://", "full name"),
    "space after the colon": ("images:\n  - nvcr.io/a/b: 1.0", "4:5", "must be text", "no space"),
    "float as a tag": (
        "images:\n  - {name: nvcr.io/a/b, tag: 25.10}",
        "4:30",
        "images[0].tag: must be text, not the number 25.10",
        'tag: "25.10"',
    ),
    "tag twice": ("images: [{name: 'nvcr.io/a/b:1', tag: x}]", "3:39", "has a tag too", ""),
    "tag and pattern": (
        "images: [{name: nvcr.io/a/b, tag: x, tags: y}]",
        "3:44",
        "a pattern beside",
        "",
    ),
    "bad pattern": (
        "images: [{name: nvcr.io/a/b, tags: '^1.2'}]",
        "3:36",
        "neither a comp",
        ">=24",
    ),
    "the same image twice": (f"images:\n- {CUDA}\n- {CUDA}", "5:3", "twice, first on line 4", ""),
    "bad platform": ("platforms: [linux]", "3:13", "is not os/arch", "linux/amd64"),
    "platform as text": ("platforms: linux/amd64", "3:12", "must be a list, or the word", "[linux"),
    "no platforms": ("platforms: []", "3:12", "must be a list, or the word all", ""),
    "platform twice": ("platforms: [a/b, a/b]", "3:18", "'a/b' stands here twice", ""),
    "chart range": (
        "charts: [{repo: https://a.b/c, name: d, version: ^1.0}]",
        "3:50",
        "charts[0].version: has no exact version",
        "v25.3.0",
    ),
    "chart latest": ("charts: ['oci://a.b/c/d:latest']", "3:10", "has no exact version", ""),
    "chart without version": ("charts: ['oci://a.b/c/d']", "3:10", "has no exact version", ""),
    "chart without host": ("charts: ['oci://c:1.0']", "3:10", "has no registry host", ""),
    "chart as a URL": (
        "charts: ['https://a.b/c-1.0.tgz']",
        "3:10",
        "not named like this",
        "oci://",
    ),
    "chart with a float": (
        "charts: [{repo: https://a.b/c, name: d, version: 1.10}]",
        "3:50",
        "not the number 1.10",
        '"1.10"',
    ),
    "chart without name": ("charts: [{repo: https://a.b}]", "3:10", "'name' is missing", ""),
    "images of a chart": (
        "charts: [{repo: https://a.b/c, name: d, version: 1.0.0, images: yes}]",
        "3:65",
        "images: is 'yes'",
        "discover",
    ),
    "answers that nobody asks for": (
        "charts: [{repo: https://a.b/c, name: d, version: 1.0.0, answers: {x: skip}}]",
        "3:66",
        "answers: is for the images of the chart",
        "images: discover",
    ),
    "an answer without a host": (
        "charts: [{repo: https://a.b/c, name: d, version: 1.0.0, images: discover,"
        " answers: {'values.yaml: image': 'nginx:1.25'}}]",
        "3:107",
        "has no registry host",
        "never guesses",
    ),
    "values that are no mapping": (
        "charts: [{repo: https://a.b/c, name: d, version: 1.0.0, images: discover, values: [a]}]",
        "3:83",
        "values: must be a mapping",
        "usePrecompiled",
    ),
    "plain repository": (
        "charts: [{repo: http://a.b/c, name: d, version: 1.0.0}]",
        "3:17",
        "is plain HTTP",
        "plain-http: true for a.b",
    ),
    "ngc as text": ("models: ['a/b:1']", "3:10", "must be a mapping", "ngc: org/model:version"),
    "ngc without version": ("models: [{ngc: a/b}]", "3:16", "no exact version", "ngc: org/team"),
    "ngc chart latest": ("charts: [{ngc: a/b:latest}]", "3:16", "no exact version", "v25.3.0"),
    "ngc chart with a repo": (
        "charts: [{ngc: a/b:1, repo: 'https://a.b'}]",
        "3:23",
        "repo: is not a known key",
        "",
    ),
    "ngc chart in capitals": ("charts: [{ngc: a/B:1}]", "3:16", "not the name of a chart", ""),
    "ngc too deep": ("models: [{ngc: a/b/c/d:1}]", "3:16", "not the name of a model", ""),
    "ngc with dots": ("models: [{ngc: a/../c:1}]", "3:16", "not the name of a model", ""),
    "file without digest": ("files: [{url: https://a.b/c}]", "3:9", "'sha256' is missing", ""),
    "file with a short digest": ("files: [{url: https://a.b/c, sha256: ab}]", "3:38", "sha256", ""),
    "file over ftp": (f"files: [{{url: ftp://a.b/c, sha256: {HEX}}}]", "3:15", "not https://", ""),
    "file over http": (
        f"files: [{{url: http://a.b/c, sha256: {HEX}}}]",
        "3:15",
        "is plain HTTP",
        "plain-http: true for a.b",
    ),
    "file without a name": (
        f"files: [{{url: https://a.b/, sha256: {HEX}}}]",
        "3:15",
        "as a file's name is empty",
        "path:",
    ),
    "file out of the bundle": (
        f"files: [{{url: https://a.b/c, sha256: {HEX}, path: ../x}}]",
        f"3:{46 + 64}",
        "'..' segment",
        "",
    ),
    "file named by its URL": (
        f"files: [{{url: 'https://a.b/%2e%2e', sha256: {HEX}}}]",
        "3:15",
        "'..' segment",
        "path:",
    ),
    "negative size": (
        f"files: [{{url: https://a.b/c, sha256: {HEX}, size: -1}}]",
        f"3:{46 + 64}",
        "size: is -1",
        "",
    ),
    "fragment": (f"files: [{{url: 'https://a.b/c#d', sha256: {HEX}}}]", "3:15", "fragment", ""),
    "a pattern that is a path": (
        f"hf: [{{repo: a/b, commit: {'0' * 40}, include: [/a]}}]",
        "3:78",
        "is not allowed: '/a'",
        "",
    ),
    "a pattern that is text": (
        f"hf: [{{repo: a/b, commit: {'0' * 40}, exclude: '*'}}]",
        "3:77",
        "must be a list",
        "",
    ),
    "branch": ("hf: [{repo: a/b, commit: main}]", "3:26", "not a full commit", "40 hex"),
    "nim without tag": ("nims: [{image: nvcr.io/a/b}]", "3:16", "neither a tag", ""),
    "nim with a wrong profile": (
        "nims: [{image: nvcr.io/a/b:1, profiles: [-]}]",
        "3:42",
        "",
        "",
    ),
    "nim with a tag that is a list": (
        "nims: [{image: nvcr.io/a/b:1, profiles: [{gpu: [a]}]}]",
        "3:43",
        "no value of a tag",
        "short text",
    ),
    "nim with no tags": (
        "nims: [{image: nvcr.io/a/b:1, profiles: [{}]}]",
        "3:42",
        "names no profiles",
        "auto",
    ),
    "os as a number": ("nodes: {os: [22.04]}", "3:14", "must be text, not the number 22.04", ""),
    "unknown policy": ("policy: {max-severty: high}", "3:10", "not a known key", "'max-severity'"),
    "unknown severity": ("policy: {max-severity: bad}", "3:24", "is 'bad'", "critical"),
    "a signature without keys": (
        "policy: {require-signature: ['*']}",
        "3:29",
        "has no keys to check with",
        "signing-keys",
    ),
    "a rule with an unknown key": (
        f"policy: {{signing-keys: [{NGC_KEY}], require-signature: [{{match: x, keys: [b]}}]}}",
        "3:88",
        "'b' is no key of signing-keys",
        "known here: a",
    ),
    "a key that is nowhere": (
        "policy: {signing-keys: [{name: a}]}",
        "3:25",
        "exactly one of file, pgp and ngc",
        "",
    ),
    "a key in two places": (
        "policy: {signing-keys: [{name: a, file: x, ngc: models}]}",
        "3:25",
        "exactly one of file, pgp and ngc",
        "",
    ),
    "a key file that is not there": (
        "policy: {signing-keys: [{name: a, file: nowhere.pub}]}",
        "3:41",
        "there is no file",
        "relative",
    ),
    "two keys of one name": (
        f"policy: {{signing-keys: [{NGC_KEY}, {NGC_KEY}]}}",
        "3:56",
        "'a' stands here twice",
        "",
    ),
    "a fingerprint of another kind": (
        "policy: {signing-keys: [{name: a, ngc: models, fingerprint: '" + "0" * 40 + "'}]}",
        "3:61",
        "is not one of a key of this kind",
        "sha256: and 64 hex digits",
    ),
    "a key of something unknown at NGC": (
        "policy: {signing-keys: [{name: a, ngc: videos}]}",
        "3:40",
        "is 'videos'",
        "containers",
    ),
    "host with a scheme": ("registries: {'https://a.b': {}}", "3:14", "not a host", "nvcr.io"),
    "no settings": ("registries: {a.b: }", "3:19", "must be a mapping, not nothing", ""),
    "flag as text": ("registries: {a.b: {plain-http: yes}}", "3:32", "must be true or false", ""),
    "endpoint with a path": (
        "registries: {a.b: {endpoint: 'https://c.d/e'}}",
        "3:30",
        "has a path",
        "scheme://",
    ),
    "plain endpoint": (
        "registries: {a.b: {endpoint: 'http://c.d'}}",
        "3:30",
        "is plain HTTP",
        "plain-http: true",
    ),
    "contradiction": (
        "registries: {a.b: {endpoint: 'https://c.d', plain-http: true}}",
        "3:30",
        "contradicts plain-http",
        "",
    ),
    "missing CA": ("registries: {a.b: {ca: no.pem}}", "3:24", "there is no file", "relative"),
    "expires as a number": ("expires: 180", "3:10", "not a number of days", "180d"),
    "expires never": ("expires: 0d", "3:10", "is not a number of days", "180d"),
}


@pytest.mark.parametrize(("text", "where", "message", "hint"), LIES.values(), ids=LIES.keys())
def test_a_lie_is_refused_with_its_place_and_a_hint(
    text: str, where: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(HEAD + text)
    assert caught.value.message.startswith(f"dray.yaml:{where}: ")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("stream: s\n", "1:1", "'apiVersion' is missing"),
        ("apiVersion: dray/v2\nstream: s\n", "1:13", "apiVersion: is 'dray/v2'"),
        ("apiVersion: dray/v1\n", "1:1", "'stream' is missing"),
        ("apiVersion: dray/v1\nstream: Big Name\n", "2:9", "stream: is not allowed"),
        ("apiVersion: dray/v1\nstream: 2026\n", "2:9", "stream: must be text"),
        ("- a\n", "1:1", "must be a mapping, not a list"),
        ("", "1:1", "must be a mapping, not nothing"),
    ],
)
def test_a_wrong_head_is_refused(text: str, where: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert caught.value.message.startswith(f"dray.yaml:{where}: ")
    assert message in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        f"images: ['user:{SECRET}@nvcr.io/a/b:1']",
        f"images: ['https://user:{SECRET}@nvcr.io/a/b:1']",
        f"images: [{{name: 'user:{SECRET}@nvcr.io/a/b', tag: x}}]",
        f"charts: [{{repo: 'https://u:{SECRET}@a.b/c', name: d, version: 1.0.0}}]",
        f"charts: [{{repo: 'oci://u:{SECRET}@a.b/c', name: d, version: 1.0.0}}]",
        f"charts: ['oci://u:{SECRET}@a.b/c:1.0.0']",
        f"files: [{{url: 'https://u:{SECRET}@a.b/c', sha256: {HEX}}}]",
        f"files: [{{url: 'https://a.b/c?X-Amz-Signature={SECRET}', sha256: {HEX}}}]",
        f"files: [{{url: 'https://a.b/c?access_token={SECRET}', sha256: {HEX}}}]",
        f"files: [{{url: 'https://a.b/c?Expires=1&Signature={SECRET}', sha256: {HEX}}}]",
        f"registries: {{a.b: {{endpoint: 'https://u:{SECRET}@c.d'}}}}",
        f"registries: {{a.b: {{password: {SECRET}}}}}",
        f"registries: {{'u:{SECRET}@a.b': {{}}}}",
    ],
)
def test_a_secret_in_the_spec_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(HEAD + text)
    assert SECRET not in caught.value.message + caught.value.hint
