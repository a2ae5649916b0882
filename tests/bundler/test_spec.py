"""The spec: everything that it can say, and a table of lies with line, column, message and hint."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.digest import Digest
from bundle.errors import UsageError
from bundle.hosts import Host
from bundler import reference, spec, starter
from bundler.spec import ChartEntry, FileEntry, HfEntry, ImageEntry, NgcEntry, NimEntry, Spec

HEX = "0123456789abcdef" * 4
HEAD = "apiVersion: dray/v1\nstream: s\n"
CUDA = "nvcr.io/nvidia/cuda:12.6.0-base-ubuntu22.04"
IMAGE = f"images: [{CUDA}]\n"

FULL = f"""\
apiVersion: dray/v1
stream: nvidia-ai                 # sequence numbers count per stream
platforms: [linux/amd64, linux/arm64/v8]
nodes: {{os: [ubuntu22.04], kernels: [5.15.0-113-generic]}}
images:
  - {CUDA}
  - {{name: nvcr.io/nvidia/pytorch, tags: ">=24.12-py3, <26"}}
  - {{name: 127.0.0.1:5000/a/b, digest: "sha256:{HEX}", platforms: all}}
  - {{name: "nvcr.io/a/b:1.0", platforms: [linux/arm64]}}
  - nvcr.io/a/b@sha256:{HEX}
  - nvcr.io/a/b:1@sha256:{HEX}
charts:
  - {{repo: https://helm.ngc.nvidia.com/nvidia/, name: gpu-operator, version: v25.3.0}}
  - oci://nvcr.io/nvidia/cloud-native-charts/gpu-operator:v26.7.0
  - {{repo: "oci://harbor.example:5000/charts", name: app, version: 1.2.3+b.1, images: discover}}
models:
  - ngc: nvidia/riva/speechtotext_en_us_citrinet_1024_gamma_0_25:deployable_v2.0.0
  - ngc: nvidia/model:1.0
resources:
  - ngc: nvidia/some_team/some_notebook:1.0
files:
  - {{url: "https://example.com/a/b%20c.run?download=true", sha256: {HEX}}}
  - {{url: http://mirror.example:8080/x, sha256: "sha256:{HEX}", path: d/e, size: 12}}
hf:
  - {{repo: nvidia/Model-1, commit: {"ab" * 20}}}
nims:
  - {{image: nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.0, profiles: [auto]}}
policy: {{require-signature: [nvcr.io/nvidia/*], max-severity: high}}
registries:
  nvcr.io: {{endpoint: "http://127.0.0.1:5001/"}}
  mirror.example:8080: {{plain-http: true}}
  harbor.example:5000: {{ca: ca.pem, plain-http: false}}
expires: 90d
"""


def read(text: str, folder: Path = Path()) -> Spec:
    return spec.parse(text.encode(), folder / "dray.yaml")


@pytest.fixture
def full(tmp_path: Path) -> Spec:
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "dray.yaml").write_text(FULL)
    return spec.load(tmp_path / "dray.yaml")


def test_everything_that_a_spec_can_say_is_read(full: Spec, tmp_path: Path) -> None:
    def at(line: int) -> str:
        return f"{tmp_path / 'dray.yaml'}:{line}:5"

    digest = Digest(f"sha256:{HEX}")
    assert full.stream == "nvidia-ai"
    assert full.platforms == ("linux/amd64", "linux/arm64/v8")
    assert full.images == (
        ImageEntry(CUDA, where=at(6)),
        ImageEntry("nvcr.io/nvidia/pytorch", ">=24.12-py3, <26", where=at(7)),
        ImageEntry(f"127.0.0.1:5000/a/b@{digest}", "", "all", at(8)),
        ImageEntry("nvcr.io/a/b:1.0", "", ("linux/arm64",), at(9)),
        ImageEntry(f"nvcr.io/a/b@{digest}", where=at(10)),
        ImageEntry(f"nvcr.io/a/b:1@{digest}", where=at(11)),
    )
    nvidia = "https://helm.ngc.nvidia.com/nvidia"
    oci = "oci://nvcr.io/nvidia/cloud-native-charts/gpu-operator"
    assert full.charts == (
        ChartEntry(nvidia, "gpu-operator", "v25.3.0", "", at(13)),
        ChartEntry(oci, "gpu-operator", "v26.7.0", "", at(14)),
        ChartEntry("oci://harbor.example:5000/charts/app", "app", "1.2.3+b.1", "discover", at(15)),
    )
    citrinet = "speechtotext_en_us_citrinet_1024_gamma_0_25"
    assert full.models == (
        NgcEntry("model", "nvidia", "riva", citrinet, "deployable_v2.0.0", at(17)),
        NgcEntry("model", "nvidia", "", "model", "1.0", at(18)),
    )
    assert [str(entry) for entry in full.models][1] == "nvidia/model:1.0"
    assert full.resources == (
        NgcEntry("resource", "nvidia", "some_team", "some_notebook", "1.0", at(20)),
    )
    url = "https://example.com/a/b%20c.run?download=true"
    assert full.files == (
        FileEntry(url, digest, "b c.run", None, at(22)),
        FileEntry("http://mirror.example:8080/x", digest, "d/e", 12, at(23)),
    )
    assert full.hf == (HfEntry("nvidia/Model-1", "ab" * 20, at(25)),)
    nim = ImageEntry("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.0", where=at(27))
    assert full.nims == (NimEntry(nim, ("auto",), at(27)),)


def test_the_settings_of_a_spec_are_read(full: Spec, tmp_path: Path) -> None:
    assert full.nodes == spec.Nodes(("ubuntu22.04",), ("5.15.0-113-generic",))
    assert full.policy == {"require-signature": ["nvcr.io/nvidia/*"], "max-severity": "high"}
    assert full.registries == {
        "nvcr.io": Host("http://127.0.0.1:5001"),
        "mirror.example:8080": Host(plain_http=True),
        "harbor.example:5000": Host(plain_http=False, ca_file=str(tmp_path / "ca.pem")),
    }
    assert full.lifetime == timedelta(days=90)
    assert full.digest == Digest.of(FULL.encode())
    assert full.path == tmp_path / "dray.yaml"
    assert full.warnings == ()


def test_what_is_left_out_has_a_default() -> None:
    made = read(HEAD + IMAGE + "charts:\nmodels: []\nnodes:\npolicy:\nregistries:\n")
    assert made.platforms == ("linux/amd64",)
    assert made.platforms_of(made.images[0]) == ("linux/amd64",)
    assert made.expires_days == 180
    assert (made.charts, made.models, made.nims, made.registries) == ((), (), (), {})


def test_a_reference_comes_in_its_parts() -> None:
    made = read(HEAD + f"images: ['127.0.0.1:5000/a/b:1@sha256:{HEX}']").images[0].reference
    assert (made.host, made.path, made.tag) == ("127.0.0.1:5000", "a/b", "1")
    assert made.digest == f"sha256:{HEX}"
    assert made.repository == "127.0.0.1:5000/a/b"


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("images: [nvcr.io/a/b:latest]", "dray.yaml:3:10: images[0]: 'latest' is a moving tag"),
        ("images: [{name: nvcr.io/a/b, tag: latest-py3}]", "images[0].name: 'latest-py3' is a mov"),
        (
            "images: [{name: nvcr.io/a/b, tags: '*'}]",
            "dray.yaml:3:36: images[0].tags: this pattern",
        ),
    ],
)
def test_what_moves_is_taken_with_a_warning(line: str, warning: str) -> None:
    [found] = read(HEAD + line).warnings
    assert warning in found


def test_a_moving_tag_beside_a_digest_is_no_warning() -> None:
    assert read(HEAD + f"images: ['nvcr.io/a/b:latest@sha256:{HEX}']").warnings == ()


SECRET = "hunter2"
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
    "plain repository": (
        "charts: [{repo: http://a.b/c, name: d, version: 1.0.0}]",
        "3:17",
        "is plain HTTP",
        "plain-http: true for a.b",
    ),
    "ngc as text": ("models: ['a/b:1']", "3:10", "must be a mapping", "ngc: org/model:version"),
    "ngc without version": ("models: [{ngc: a/b}]", "3:16", "no exact version", "ngc: org/team"),
    "ngc latest": (
        "resources: [{ngc: a/b:latest}]",
        "3:19",
        "no exact version",
        "resource:version",
    ),
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
    "branch": ("hf: [{repo: a/b, commit: main}]", "3:26", "not a full commit", "40 hex"),
    "nim without tag": ("nims: [{image: nvcr.io/a/b}]", "3:16", "neither a tag", ""),
    "nim with a wrong profile": (
        "nims: [{image: nvcr.io/a/b:1, profiles: [-]}]",
        "3:42",
        "",
        "",
    ),
    "os as a number": ("nodes: {os: [22.04]}", "3:14", "must be text, not the number 22.04", ""),
    "unknown policy": ("policy: {max-severty: high}", "3:10", "not a known key", "'max-severity'"),
    "unknown severity": ("policy: {max-severity: bad}", "3:24", "is 'bad'", "critical"),
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


def test_a_missing_spec_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        spec.load(tmp_path / "dray.yaml")
    assert "no such file" in caught.value.message
    assert "dray init" in caught.value.hint


def test_a_huge_spec_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "dray.yaml"
    file.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 1048576 bytes"):
        spec.load(file)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40) | st.text("abcN.:/@-_ 0159#?%[]", max_size=40))
def test_any_text_is_an_image_or_refused(text: str) -> None:
    try:
        found = reference.parse(text)
    except reference.NamingError as error:
        assert str(error)
    else:
        assert str(found) == text


def test_the_starter_is_a_spec_that_can_be_locked(tmp_path: Path) -> None:
    [path] = starter.write(tmp_path, "my-stream")
    made = spec.load(path)
    assert made.stream == "my-stream"
    assert [entry.name for entry in made.images] == [CUDA]
    assert [entry.name for entry in made.charts] == ["gpu-operator"]
    assert made.warnings == ()


def test_every_example_of_the_starter_can_be_taken(tmp_path: Path) -> None:
    [path] = starter.write(tmp_path, "nvidia-ai")
    text = path.read_text()
    path.write_text(text.replace("\n#  ", "\n  "))
    made = spec.load(path)
    for key in ("images", "charts", "models", "resources", "files", "registries"):
        assert getattr(made, key), key
        assert f"\n{key}:" in text
    assert not (made.hf or made.nims or made.policy)  # not offered before they can be carried


@pytest.mark.parametrize("stream", ["true", "null", "2026", "1e5", "0x1f", "a-1"])
def test_a_stream_stays_text_in_the_starter(tmp_path: Path, stream: str) -> None:
    [path] = starter.write(tmp_path, stream)
    assert spec.load(path).stream == stream


@pytest.mark.parametrize("stream", ["", "-a", "a-", "A", "a b", "a" * 41, "a\n", "é"])
def test_a_name_that_no_stream_has_is_refused(tmp_path: Path, stream: str) -> None:
    with pytest.raises(UsageError, match="cannot name a stream"):
        starter.write(tmp_path, stream)
    assert list(tmp_path.iterdir()) == []


def test_the_starter_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "dray.yaml").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        starter.write(tmp_path, "s")
    assert (tmp_path / "dray.yaml").read_text() == "mine"
    (tmp_path / "dray.yaml").unlink()
    (tmp_path / "trust.json").symlink_to("nowhere")
    starter.check(tmp_path, ["dray.key"])
    with pytest.raises(UsageError, match=r"trust\.json is there already"):
        starter.check(tmp_path, ["dray.key", "trust.json"])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*no such file"):
        starter.write(tmp_path / "missing", "s")
