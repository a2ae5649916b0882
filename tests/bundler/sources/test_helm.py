from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from bundle.credentials import Credentials
from bundle.digest import Digest
from bundle.errors import DrayError, NotFound, SourceError, UsageError
from bundle.http import Interrupted
from bundler.entries import ChartEntry
from bundler.lock import Lock, load
from bundler.sources import helm, helmindex
from bundler.sources.helm import CONFIG, CONTENT, PROVENANCE, HelmSource
from bundler.sources.helmlogin import Logins
from tests.bundler.sources.items import fetch, use_key
from tests.bundler.sources.test_chartfile import tgz
from tests.bundler.sources.web import Page, Web

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.http import Http
    from bundler.lock import LockedArtifact, LockedContent
    from fixtures.charts import Chart
    from fixtures.ngc import Catalogue, EmulatedNgc

NVIDIA = "https://helm.ngc.nvidia.com/nvidia"
OPERATOR = ChartEntry(NVIDIA, "gpu-operator", "v25.3.0", where="dray.yaml:7:5")
PRIVATE = ChartEntry("https://helm.ngc.nvidia.com/abc123xyz/vision", "llm-stack", "1.0.0")


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_an_index_over_tls_may_not_name_a_plain_url(scheme: str) -> None:
    entry = f"{{version: 1.0.0, urls: ['{scheme}://charts.example/app.tgz']}}"
    data = f"apiVersion: v1\nentries: {{app: [{entry}]}}\n".encode()
    with pytest.raises(SourceError, match="leaves TLS"):
        helmindex.find(data, "https://charts.example", "app", "1.0.0")


def test_an_index_of_far_too_many_small_parts_is_refused() -> None:
    entries = b"  - {version: 1.0.0, urls: [a.tgz]}\n" * 80_000
    with pytest.raises(SourceError, match="far more small parts"):
        helmindex.find(
            b"apiVersion: v1\nentries:\n  app:\n" + entries, "https://a.example", "app", "1.0.0"
        )


def layers(locked: LockedArtifact) -> dict[str, LockedContent]:
    return {item.content.media_type: item for item in locked.contents}


@pytest.mark.parametrize("key", ["", "personal", "entitled", "revoked"])
def test_a_public_chart_is_pinned_with_any_key_or_none(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    use_key(monkeypatch, catalogue, key)
    source = HelmSource(http)
    locked = source.resolve(OPERATOR)
    there = chart_of(catalogue, "v25.3.0")
    found = layers(locked)
    assert found[CONTENT].content.digest == there.archive.digest
    assert found[CONTENT].url == f"{NVIDIA}/charts/gpu-operator-v25.3.0.tgz"
    assert there.provenance is not None
    assert found[PROVENANCE].content.digest == there.provenance.digest
    assert [found[kind].unvouched for kind in (CONTENT, PROVENANCE, CONFIG)] == [False, True, False]
    for kind in (CONTENT, PROVENANCE):
        assert fetch(source, locked, found[kind])


def chart_of(catalogue: Catalogue, version: str) -> Chart:
    charts = catalogue.chart_repositories["nvidia"].charts
    return next(item for item in charts if item.version == version)


def test_the_artifact_is_what_helm_push_makes(http: Http) -> None:
    locked = HelmSource(http).resolve(OPERATOR)
    artifact = locked.artifact
    assert artifact.kind == "chart"
    assert artifact.name == "helm.ngc.nvidia.com/nvidia/gpu-operator:v25.3.0"
    assert artifact.repository == "helm.ngc.nvidia.com/nvidia/gpu-operator"
    assert locked.origin.type == "helm"
    assert locked.origin.where == {"repo": NVIDIA, "chart": "gpu-operator"}
    config, root = locked.contents[-2:]
    assert json.loads(config.text or "")["version"] == "v25.3.0"
    manifest = json.loads(root.text or "")
    assert "artifactType" not in manifest
    assert manifest["config"]["mediaType"] == CONFIG
    assert [layer["mediaType"] for layer in manifest["layers"]] == [CONTENT, PROVENANCE]
    assert root.content.tags == ("v25.3.0",)
    assert not artifact.fault()


def test_the_same_chart_is_locked_to_the_same_bytes(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = HelmSource(http).resolve(OPERATOR)
    use_key(monkeypatch, catalogue, "entitled")
    assert HelmSource(http).resolve(OPERATOR) == first


def test_a_lock_file_opens_what_it_pins_in_another_run(http: Http, tmp_path: Path) -> None:
    file = tmp_path / "lock.yaml"
    file.write_bytes(Lock("s", Digest.of(b""), (HelmSource(http).resolve(OPERATOR),)).text)
    (again,) = load(file).artifacts
    assert fetch(HelmSource(http), again, layers(again)[CONTENT])


def test_a_chart_without_provenance_has_one_layer(http: Http) -> None:
    entry = ChartEntry(NVIDIA + "/", "network-operator", "25.1.0")
    locked = HelmSource(http).resolve(entry)
    assert [item.content.role for item in locked.contents] == ["layer", "config", "manifest"]


def test_absolute_urls_are_followed(http: Http, catalogue: Catalogue) -> None:
    catalogue.chart_repositories["nvidia"].absolute_urls = True
    source = HelmSource(http)
    locked = source.resolve(OPERATOR)
    assert fetch(source, locked, layers(locked)[CONTENT])


def test_an_archive_that_is_not_the_one_of_the_index_is_refused(
    http: Http, catalogue: Catalogue
) -> None:
    catalogue.chart_repositories["nvidia"].digests["gpu-operator-v25.3.0.tgz"] = "0" * 64
    with pytest.raises(SourceError, match="is not what its index says"):
        HelmSource(http).resolve(OPERATOR)


def test_an_archive_that_the_index_does_not_vouch_for_is_marked(
    http: Http, catalogue: Catalogue
) -> None:
    catalogue.chart_repositories["nvidia"].digests["gpu-operator-v25.3.0.tgz"] = ""
    assert layers(HelmSource(http).resolve(OPERATOR))[CONTENT].unvouched


def test_a_private_chart_needs_the_right_key(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match="401 without a credential") as caught:
        HelmSource(http).resolve(PRIVATE)
    assert "NGC_API_KEY" in caught.value.hint
    use_key(monkeypatch, catalogue, "stranger")
    with pytest.raises(SourceError, match="403 with the credential of NGC_API_KEY, 401 without"):
        HelmSource(http).resolve(PRIVATE)
    use_key(monkeypatch, catalogue, "personal")
    source = HelmSource(http)
    locked = source.resolve(PRIVATE)
    assert fetch(source, locked, layers(locked)[CONTENT])


def test_no_key_reaches_the_host_of_the_redirected_index(
    http: Http, catalogue: Catalogue, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "entitled")
    HelmSource(http).resolve(OPERATOR)
    seen = {(entry.site, entry.authorization) for entry in ngc.requests}
    assert seen == {("helm.ngc.nvidia.com", "basic"), ("xfiles.ngc.nvidia.com", "")}


def test_the_index_is_fetched_once_a_run(http: Http, ngc: EmulatedNgc) -> None:
    source = HelmSource(http)
    source.resolve(OPERATOR)
    source.resolve(ChartEntry(NVIDIA, "network-operator", "25.1.0"))
    assert sum(entry.path == "/nvidia/index.yaml" for entry in ngc.requests) == 1


@pytest.mark.parametrize(
    ("entry", "kind", "words"),
    [
        (ChartEntry(NVIDIA, "gpu-operator", "25.3.0"), NotFound, "did you mean 'v25.3.0'"),
        (ChartEntry(NVIDIA, "gpu-operator", "v25.3.1"), NotFound, "there are: v25.3.0"),
        (ChartEntry(NVIDIA, "network-operator", "v25.1.0"), NotFound, "did you mean '25.1.0'"),
        (ChartEntry(NVIDIA, "gpu-operater", "v25.3.0"), NotFound, "no chart called"),
        (ChartEntry("https://helm.ngc.nvidia.com", "a", "1"), SourceError, "refused"),
        (ChartEntry("https://u:p@h/x", "a", "1", where="w"), UsageError, "no URL of a Helm"),
        (ChartEntry("https://h/x?token=s", "a", "1", where="w"), UsageError, "no URL of a Helm"),
        (ChartEntry("ftp://h/x", "a", "1", where="w"), UsageError, "no URL of a Helm"),
    ],
    ids=str,
)
def test_what_cannot_be_had_is_told_with_its_reason(
    http: Http, entry: ChartEntry, kind: type[DrayError], words: str
) -> None:
    with pytest.raises(DrayError) as caught:
        HelmSource(http).resolve(entry)
    assert type(caught.value) is kind
    assert words in f"{caught.value} {caught.value.hint}"


ARCHIVE = tgz({"app/Chart.yaml": b"apiVersion: v2\nname: app\nversion: 1.0.0\n"})
HEX = Digest.of(ARCHIVE).hex


def index(**changes: str) -> bytes:
    fields = {"name": "app", "version": "1.0.0", "urls": "[app.tgz]", "digest": HEX} | changes
    lines = [f"{'- ' if not n else '  '}{k}: {v}" for n, (k, v) in enumerate(fields.items())]
    return ("apiVersion: v1\nentries:\n  app:\n  " + "\n  ".join(lines) + "\n").encode()


def app(site: Web) -> ChartEntry:
    return ChartEntry(f"{site.base}/charts", "app", "1.0.0")


def publish(site: Web, text: bytes, archive: bytes = ARCHIVE) -> None:
    site.pages["/charts/index.yaml"] = Page(text)
    site.pages["/charts/app.tgz"] = Page(archive)


def test_a_plain_repository_is_read(site: Web, plain: Http) -> None:
    publish(site, index())
    source = HelmSource(plain)
    locked = source.resolve(app(site))
    assert fetch(source, locked, layers(locked)[CONTENT]) == ARCHIVE
    assert locked.artifact.repository == f"{site.host}/charts/app"


@pytest.mark.parametrize("digest", ["sha256:" + HEX, HEX.upper(), f"'{HEX}'"])
def test_a_digest_may_be_written_in_several_ways(site: Web, plain: Http, digest: str) -> None:
    publish(site, index(digest=digest))
    assert not layers(HelmSource(plain).resolve(app(site)))[CONTENT].unvouched


@pytest.mark.parametrize(
    "page", [Page(status=404), Page(status=403), Page(status=401), Page(b"<html>not here</html>")]
)
def test_a_missing_provenance_is_no_error_however_it_is_missing(
    site: Web, plain: Http, page: Page
) -> None:
    publish(site, index())
    site.pages["/charts/app.tgz.prov"] = page
    assert PROVENANCE not in layers(HelmSource(plain).resolve(app(site)))


def test_a_provenance_that_fails_is_an_error(site: Web, plain: Http) -> None:
    publish(site, index())
    site.pages["/charts/app.tgz.prov"] = Page(status=500)
    with pytest.raises(SourceError, match="500"):
        HelmSource(plain).resolve(app(site))


LIES = {
    "empty": b"",
    "no YAML": b"<html><title>: [login</title>",
    "no UTF-8": b"\xff\xfe",
    "a list": b"- a\n",
    "entries that are a list": b"entries: [app]\n",
    "entries that are text": b"entries: app\n",
    "a chart that is a mapping": b"entries:\n  app: {a: b}\n",
    "a release that is text": b"entries:\n  app: [x]\n",
    "a version that is a list": index(version="[1.0.0]"),
    "no version": index().replace(b"version: 1.0.0", b"x: y"),
    "another name": index(name="other"),
    "a name that is a list": index(name="[app]"),
    "no URLs": index(urls="[]"),
    "URLs that are text": index(urls="app.tgz"),
    "a URL that is a mapping": index(urls="[{a: b}]"),
    "a local file": index(urls="['file:///etc/passwd']"),
    "a user in the URL": index(urls="['http://a:b@127.0.0.1/app.tgz']"),
    "a secret in the URL": index(urls="['app.tgz?sig=s3cret']"),
    "a port that is none": index(urls="['http://127.0.0.1:999999/app.tgz']"),
    "a control character": index(urls='["app\\u0000.tgz"]'),
    "a digest that is short": index(digest="abc"),
    "a digest that is a list": index(digest="[a]"),
    "another kind of digest": index(digest="sha512:" + "0" * 128),
    "the same release twice": index() + index().partition(b"  app:\n")[2],
    "the same chart twice": index() + index().partition(b"entries:\n")[2],
    "entries twice": index() + index(),
    "the same key twice": index() + b"    version: 1.0.0\n",
    "an alias": index(description="&x y", home="*x"),
    "a bomb of aliases": b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n" + index(),
    "a tag": index(description="!!python/name:os.system x"),
    "nested without end": b"entries: {app: " + b"[" * 100_000,
    "nested without end elsewhere": b"other: " + b"[" * 100_000,
    "two documents": index() + b"---\n" + index(),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_lies_is_refused_with_the_name_of_the_repository(
    site: Web, plain: Http, lie: str
) -> None:
    publish(site, LIES[lie])
    with pytest.raises(SourceError, match=f"the index of {site.base}/charts is not in order") as c:
        HelmSource(plain).resolve(app(site))
    assert "s3cret" not in str(c.value)


def test_an_index_without_charts_has_none(site: Web, plain: Http) -> None:
    publish(site, b"apiVersion: v1\nentries: {}\n")
    with pytest.raises(NotFound, match="no chart called 'app'"):
        HelmSource(plain).resolve(app(site))


@pytest.mark.parametrize(
    "inside",
    [
        b"apiVersion: v2\nname: other\nversion: 1.0.0\n",
        b"apiVersion: v2\nname: app\nversion: 1.0.1\n",
        b"apiVersion: v2\nname: app\n",
        b"- a\n",
    ],
)
def test_an_archive_of_another_chart_is_refused(site: Web, plain: Http, inside: bytes) -> None:
    archive = tgz({"app/Chart.yaml": inside})
    publish(site, index(digest=Digest.of(archive).hex), archive)
    with pytest.raises(SourceError, match=r"chart app 1\.0\.0 of http.* (says inside|is no chart)"):
        HelmSource(plain).resolve(app(site))


def test_a_version_inside_may_lack_the_leading_v(site: Web, plain: Http) -> None:
    publish(site, index(version="v1.0.0"))
    entry = ChartEntry(f"{site.base}/charts", "app", "v1.0.0")
    assert HelmSource(plain).resolve(entry).contents[-1].content.tags == ("v1.0.0",)


def test_a_plus_in_a_version_becomes_an_underscore_in_the_tag(site: Web, plain: Http) -> None:
    archive = tgz({"app/Chart.yaml": b"name: app\nversion: 1.0.0+cu12\n"})
    publish(site, index(version="1.0.0+cu12", digest=Digest.of(archive).hex), archive)
    locked = HelmSource(plain).resolve(ChartEntry(f"{site.base}/charts", "app", "1.0.0+cu12"))
    assert locked.contents[-1].content.tags == ("1.0.0_cu12",)
    assert locked.artifact.version == "1.0.0+cu12"


@pytest.mark.parametrize("limit", ["INDEX_LIMIT", "ARCHIVE_LIMIT", "PROVENANCE_LIMIT"])
def test_what_is_too_large_is_not_read(
    site: Web, plain: Http, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    publish(site, index())
    site.pages["/charts/app.tgz.prov"] = Page(b"-----BEGIN PGP SIGNED MESSAGE-----" + b" " * 99)
    HelmSource(plain).resolve(app(site))
    monkeypatch.setattr(helm, limit, 50)
    with pytest.raises(SourceError, match="more than 50 bytes"):
        HelmSource(plain).resolve(app(site))


def test_a_credential_goes_to_the_host_of_the_repository_only(
    site: Web, plain: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = base64.b64encode(b"user:s3cret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {site.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    elsewhere = site.base.replace("127.0.0.1", "localhost")
    publish(site, index(urls=f"['{elsewhere}/charts/app.tgz']"))
    source = HelmSource(plain)
    locked = source.resolve(app(site))
    assert fetch(source, locked, layers(locked)[CONTENT]) == ARCHIVE
    sent = {path: authorization for _method, path, authorization in site.asked}
    assert sent == {
        "/charts/index.yaml": f"Basic {auth}",
        "/charts/app.tgz": "",
        "/charts/app.tgz.prov": "",
    }


def test_a_credential_is_looked_for_once_a_host(site: Web, plain: Http) -> None:
    asked: list[str] = []

    def find(host: str) -> Credentials | None:
        asked.append(host)
        return Credentials("user", "s3cret", origin="a file")

    publish(site, index())
    HelmSource(plain, Logins(plain, find)).resolve(app(site))
    assert asked == [site.host]
    site.pages["/charts/index.yaml"] = Page(status=401)
    with pytest.raises(SourceError, match="401 with the credential of a file, 401 without") as c:
        HelmSource(plain, Logins(plain, find)).resolve(app(site))
    assert "docker login" in c.value.hint


def test_a_broken_docker_config_is_never_taken_for_none(
    site: Web, plain: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    publish(site, index())
    with pytest.raises(UsageError, match=r"config\.json"):
        HelmSource(plain).resolve(app(site))


def test_what_vanishes_after_the_lock_is_told(site: Web, plain: Http) -> None:
    publish(site, index())
    source = HelmSource(plain)
    locked = source.resolve(app(site))
    for status, kind in ((404, NotFound), (403, SourceError), (503, Interrupted)):
        site.pages["/charts/app.tgz"] = Page(status=status)
        with pytest.raises(kind), source.opener(locked, layers(locked)[CONTENT])(0):
            pytest.fail("opened")
