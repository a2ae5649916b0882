from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.digest import Digest, verified
from bundle.errors import DrayError, NotFound, SourceError, UsageError
from bundle.transfer import resume
from bundler.entries import NgcEntry
from bundler.lock import Lock, load
from bundler.sources.ngc import GUEST, NgcSource
from bundler.sources.ngc_api import Item
from bundler.sources.ngc_listing import digest_of
from fixtures.content import fileset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.http import Http
    from bundler.lock import LockedArtifact, LockedContent
    from bundler.sources.base import Source
    from fixtures.ngc import Catalogue, EmulatedNgc

CITRINET = NgcEntry(
    "model",
    "nvidia",
    "riva",
    "speechtotext_en_us_citrinet_1024_gamma_0_25",
    "deployable_v2.0.0",
    where="dray.yaml:5:5",
)
QUICKSTART = NgcEntry("resource", "nvidia", "", "riva_quickstart", "2.18.0")
DETECTOR = NgcEntry("model", "abc123xyz", "vision", "detector_weights", "1.0")
LLAMA = NgcEntry("model", "nim", "meta", "llama3-8b-instruct", "hf")
NUMBER = "made-to-fail"


def use_key(monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue, name: str) -> str:
    secret = catalogue.keys[name].secret
    monkeypatch.setenv("NGC_API_KEY", secret)
    return secret


def fetch(source: Source, artifact: LockedArtifact, content: LockedContent) -> bytes:
    size, digest = content.content.size, content.content.digest
    blocks = resume(
        source.opener(artifact, content), size=size, what="a file", sleep=lambda _: None
    )
    return b"".join(verified(blocks, digest=digest, size=size, what="a file"))


def file_of(artifact: LockedArtifact, path: str) -> LockedContent:
    return next(item for item in artifact.contents if item.content.path == path)


MODEL = "citrinet-1024/model.riva"


@pytest.mark.parametrize("key", ["", "personal", "service", "legacy"])
def test_a_public_model_is_pinned_and_fetched_with_every_kind_of_key(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    if key:
        use_key(monkeypatch, catalogue, key)
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    files = catalogue.filesets["models", str(CITRINET).partition(":")[0]].versions
    there = files[CITRINET.version].files
    assert {item.path: item.digest for item in locked.artifact.files} == {
        path: blob.digest for path, blob in there.items()
    }
    assert not any(item.unvouched for item in locked.contents)
    for item in locked.contents:
        if item.content.role == "file":
            assert len(fetch(source, locked, item)) == item.content.size


def test_a_resource_is_pinned_and_fetched(http: Http) -> None:
    source = NgcSource(http)
    locked = source.resolve(QUICKSTART)
    assert locked.artifact.kind == "resource"
    assert locked.artifact.name == "ngc/nvidia/riva_quickstart:2.18.0"
    assert locked.artifact.repository == "ngc/nvidia/riva_quickstart"
    assert fetch(source, locked, file_of(locked, "scripts/run.sh"))


def test_what_is_locked_is_the_same_for_everybody_and_holds_no_secret(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_guest = NgcSource(http).resolve(CITRINET)
    secret = use_key(monkeypatch, catalogue, "legacy")
    with_key = NgcSource(http).resolve(CITRINET)
    assert as_guest.to_dict() == with_key.to_dict()
    text = json.dumps(with_key.to_dict())
    assert secret not in text
    assert "Signature" not in text
    assert "https://" not in text


def test_a_lock_file_opens_what_it_pins_in_another_run(http: Http, tmp_path: Path) -> None:
    locked = NgcSource(http).resolve(CITRINET)
    file = tmp_path / "lock.yaml"
    file.write_bytes(Lock("s", Digest.of(b""), (locked,)).text)
    (again,) = load(file).artifacts
    assert again == locked
    assert len(fetch(NgcSource(http), again, file_of(again, MODEL))) == 40_000


def test_a_guest_is_announced_once(http: Http) -> None:
    said: list[str] = []
    source = NgcSource(http, warn=said.append)
    source.resolve(CITRINET)
    source.resolve(QUICKSTART)
    assert said == [GUEST]


def test_no_key_is_looked_for_until_something_is_asked(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGC_API_KEY", "not a key")
    NgcSource(http).close()
    with pytest.raises(UsageError, match="NGC_API_KEY does not hold an NGC key"):
        NgcSource(http).resolve(CITRINET)


def test_a_file_without_a_digest_is_hashed_once_and_marked(http: Http, ngc: EmulatedNgc) -> None:
    entry = NgcEntry("model", "nvidia", "riva", CITRINET.name, "deployable_v1.0")
    ngc.faults.add("GET xfiles", cut_after=50_000)
    locked = NgcSource(http).resolve(entry)
    content = file_of(locked, "model.riva")
    blob = ngc.catalogue.filesets["models", f"nvidia/riva/{CITRINET.name}"]
    assert content.content.digest == blob.versions[entry.version].files["model.riva"].digest
    assert content.unvouched
    assert "1 of 1 files" in locked.artifact.notes["unvouched"]


def test_an_org_that_lists_no_urls_gives_its_files_one_by_one(
    http: Http, catalogue: Catalogue, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "entitled")
    source = NgcSource(http)
    locked = source.resolve(LLAMA)
    assert len(fetch(source, locked, file_of(locked, "model.safetensors"))) == 50_000
    asked = [entry.path for entry in ngc.requests if entry.site == "api.ngc.nvidia.com"]
    assert asked[-1].endswith("/versions/hf/files/model.safetensors")


def test_when_both_paths_are_refused_the_first_refusal_is_told(
    http: Http, catalogue: Catalogue, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "entitled")
    source = NgcSource(http)
    locked = source.resolve(LLAMA)
    ngc.faults.add("versions/hf/files/", status=401, times=None)
    with pytest.raises(SourceError, match="Org contex missing"):
        fetch(source, locked, file_of(locked, "config.json"))


def test_a_cut_download_goes_on_where_it_was(http: Http, ngc: EmulatedNgc) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    ngc.faults.add("GET xfiles", cut_after=10_000, times=3)
    assert len(fetch(source, locked, file_of(locked, MODEL))) == 40_000
    sent = [entry for entry in ngc.requests if entry.site == "xfiles.ngc.nvidia.com"]
    assert [entry.range for entry in sent] == [
        "bytes=0-39999",
        "bytes=10000-39999",
        "bytes=20000-39999",
        "bytes=30000-39999",
    ]


def test_a_url_that_expires_in_the_middle_is_asked_for_anew(http: Http, ngc: EmulatedNgc) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    ngc.faults.add("GET xfiles", cut_after=10_000, after=ngc.passes.expire_urls)
    assert len(fetch(source, locked, file_of(locked, MODEL))) == 40_000


def test_a_url_that_is_refused_at_once_is_asked_for_once_more(http: Http, ngc: EmulatedNgc) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    ngc.faults.add("GET xfiles", before=ngc.passes.expire_urls)
    assert len(fetch(source, locked, file_of(locked, MODEL))) == 40_000
    ngc.faults.add("GET xfiles", before=ngc.passes.expire_urls, times=None)
    with pytest.raises(SourceError, match="refuses a URL that was just signed") as caught:
        fetch(source, locked, file_of(locked, MODEL))
    assert "Signature" not in f"{caught.value}{caught.value.hint}"


def test_no_credential_reaches_the_content_network(
    http: Http, catalogue: Catalogue, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "personal")
    source = NgcSource(http)
    locked = source.resolve(DETECTOR)
    fetch(source, locked, file_of(locked, "weights.bin"))
    seen = {entry.site: entry.authorization for entry in ngc.requests}
    assert seen == {"api.ngc.nvidia.com": "bearer", "xfiles.ngc.nvidia.com": ""}


def test_an_expired_token_of_a_legacy_key_is_replaced(
    http: Http, catalogue: Catalogue, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "legacy")
    source = NgcSource(http)
    locked = source.resolve(DETECTOR)
    ngc.passes.expire_tokens()
    assert fetch(source, locked, file_of(locked, "weights.bin"))
    exchanges = [entry for entry in ngc.requests if entry.site == "authn.nvidia.com"]
    assert len(exchanges) == 2


def test_a_legacy_key_is_exchanged_for_its_own_org_where_one_is_named(
    http: Http, catalogue: Catalogue, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "legacy")
    monkeypatch.setenv("NGC_CLI_ORG", "abc123xyz")
    monkeypatch.setenv("NGC_CLI_TEAM", "vision")
    source = NgcSource(http)
    locked = source.resolve(DETECTOR)
    fetch(source, locked, file_of(locked, "weights.bin"))
    exchanges = [entry.query for entry in ngc.requests if entry.site == "authn.nvidia.com"]
    scopes = ["group/ngc:abc123xyz", "group/ngc:abc123xyz/vision"]
    assert exchanges == [{"service": ["ngc"], "scope": scopes}, {"service": ["ngc"]}]


def test_a_key_in_a_file_comes_before_the_environment(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_key(monkeypatch, catalogue, "stranger")
    file = tmp_path / "key"
    file.write_text(catalogue.keys["personal"].secret + "\n")
    assert NgcSource(http, key_file=file).resolve(DETECTOR).artifact.version == "1.0"
    with pytest.raises(SourceError, match="no right"):
        NgcSource(http).resolve(DETECTOR)


@pytest.mark.parametrize(
    ("entry", "key", "kind", "words"),
    [
        (DETECTOR, "", SourceError, "not given to guests"),
        (DETECTOR, "stranger", SourceError, "no right to model abc123xyz/vision/detector_weights"),
        (DETECTOR, "revoked", SourceError, "does not take the nvapi- key of NGC_API_KEY"),
        (LLAMA, "personal", SourceError, "NVAIE"),
        (
            NgcEntry("model", "nvidia", "", "needs_terms", "1.0"),
            "personal",
            SourceError,
            "/models/",
        ),
        (NgcEntry("model", "nvidia", "", "absent", "1.0"), "", NotFound, "not visible without"),
        (NgcEntry("model", "nvidia", "", "absent", "1"), "personal", NotFound, "not visible to"),
        (
            NgcEntry("model", "nvidia", "riva", CITRINET.name, "deployable_v2"),
            "",
            NotFound,
            "'deployable_v2.0.0'",
        ),
        (
            NgcEntry("model", "nvidia", "riva", CITRINET.name, "deployable_v3.0.0"),
            "",
            SourceError,
            "UPLOAD_PENDING",
        ),
        (NgcEntry("model", "nvidia", "riva", CITRINET.name, "latest"), "", UsageError, "a label"),
        (NgcEntry("resource", "nvidia", "riva", CITRINET.name, "1"), "", NotFound, "resource"),
    ],
)
def test_what_cannot_be_had_is_told_with_its_reason(
    http: Http,
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
    entry: NgcEntry,
    key: str,
    kind: type[DrayError],
    words: str,
) -> None:
    secret = use_key(monkeypatch, catalogue, key) if key else "\0"
    with pytest.raises(DrayError) as caught:
        NgcSource(http).resolve(entry)
    assert type(caught.value) is kind
    text = f"{caught.value} {caught.value.hint}"
    assert words in text
    assert secret not in text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "NGC answers 400"),
        (401, "not given to guests"),
        (402, "wants a subscription"),
        (403, "not given to guests"),
        (404, "not found, or not visible"),
        (412, "terms"),
        (429, "429"),
        (451, "legal reasons"),
        (500, "500"),
        (503, "503"),
    ],
)
def test_every_refusal_keeps_its_request_id(
    http: Http, ngc: EmulatedNgc, status: int, words: str
) -> None:
    ngc.faults.add("GET api.ngc.nvidia.com/", status=status, times=None)
    with pytest.raises(SourceError) as caught:
        NgcSource(http).resolve(CITRINET)
    assert words in str(caught.value)
    assert NUMBER in str(caught.value)


def test_the_page_where_terms_are_accepted_is_named(http: Http) -> None:
    with pytest.raises(SourceError) as caught:
        NgcSource(http).resolve(NgcEntry("model", "nvidia", "", "needs_terms", "1.0"))
    page = "https://catalog.ngc.nvidia.com/orgs/nvidia/models/needs_terms?version=1.0"
    assert caught.value.hint.endswith(page)


@pytest.mark.parametrize("status", [429, 503])
def test_what_passes_is_waited_for(http: Http, ngc: EmulatedNgc, status: int) -> None:
    waited: list[float] = []
    http.sleep = waited.append
    ngc.faults.add("GET api.ngc.nvidia.com/", status=status, retry_after="7", times=2)
    assert NgcSource(http).resolve(CITRINET).artifact.root
    assert [int(seconds) for seconds in waited] == [7, 7]


def test_a_warning_of_the_api_is_passed_on(http: Http, ngc: EmulatedNgc) -> None:
    said: list[str] = []
    header = {"nv-ngc-response-warning-message": "this model goes away"}
    ngc.faults.add("GET api.ngc.nvidia.com/", headers=header)
    NgcSource(http, warn=said.append).resolve(CITRINET)
    assert "this model goes away" in said[-1]


def test_pages_are_put_together(http: Http, catalogue: Catalogue) -> None:
    files = fileset("many", {f"shard-{number:03}.bin": 10 for number in range(25)})
    catalogue.add_files("models", "nvidia/many", "1", files)
    catalogue.page_cap = 10
    locked = NgcSource(http).resolve(NgcEntry("model", "nvidia", "", "many", "1"))
    assert [item.path for item in locked.artifact.files] == sorted(files)


def change(**fields: Any) -> Callable[[Any], Any]:
    return lambda body: {**body, **fields}


def inside(key: str, **fields: Any) -> Callable[[Any], Any]:
    return lambda body: {**body, key: {**body[key], **fields}}


def first_file(**fields: Any) -> Callable[[Any], Any]:
    def edit(body: Any) -> Any:
        body["modelFiles"][0] |= fields
        return body

    return edit


def all_paths(path: str) -> Callable[[Any], Any]:
    def edit(body: Any) -> Any:
        for file in body["modelFiles"]:
            file["path"] = path
        return body

    return edit


VERSION, FILES = r"versions/[^/]+$", r"versions/[^/]+/files$"
LIES: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "a list instead of an object": (VERSION, lambda body: [body], "no JSON object"),
    "a failure with status 200": (
        VERSION,
        change(requestStatus={"statusCode": "FORBIDDEN", "requestId": "r-1"}),
        r"FORBIDDEN .*\[request r-1\]",
    ),
    "a status that is no text": (VERSION, inside("modelVersion", status=7), "must be text"),
    "a version that is a list": (VERSION, change(modelVersion=[]), "must be a mapping"),
    "another version": (VERSION, inside("modelVersion", versionId="x"), "another version"),
    "another name": (VERSION, inside("model", name="x"), "another name"),
    "another org": (VERSION, inside("model", orgName="x"), "another orgName"),
    "another team": (VERSION, inside("model", teamName="x"), "another teamName"),
    "fewer files in all": (VERSION, inside("modelVersion", totalFileCount=4), "says there are 4"),
    "more bytes in all": (VERSION, inside("modelVersion", totalSizeInBytes=1), "NGC says 1"),
    "a negative count": (VERSION, inside("modelVersion", totalFileCount=-1), "is -1"),
    "an endless count": (VERSION, inside("modelVersion", totalFileCount=10**9), "is 1000000000"),
    "files that are no list": (FILES, change(modelFiles={}), "must be a list"),
    "no files": (FILES, change(modelFiles=[]), "lists 0 files"),
    "a page left out": (FILES, inside("paginationInfo", totalResults=9), "says there are 5 and 9"),
    "a page that never comes": (
        FILES,
        inside("paginationInfo", totalPages=2, totalResults=10),
        "says there are 5 and 10",
    ),
    "the same page again": (
        FILES,
        change(
            modelFiles=[{"path": "a", "sizeInBytes": 1}],
            paginationInfo={"totalPages": 5, "totalResults": 5},
        ),
        "one file on some systems",
    ),
    "pages without end": (FILES, inside("paginationInfo", totalPages=10**8), "is 100000000"),
    "a path out of the folder": (FILES, first_file(path="../../etc/passwd"), "'..'"),
    "an absolute path": (FILES, first_file(path="/etc/passwd"), "not a relative"),
    "a backslash": (FILES, first_file(path="a\\b"), "relative path"),
    "a NUL": (FILES, first_file(path="a\0b"), "control"),
    "a lone surrogate": (FILES, first_file(path="a\ud800"), "is not"),
    "no path": (FILES, first_file(path=None), "must be text"),
    "twice the same path": (FILES, all_paths("a"), "one file on some systems"),
    "paths that differ in case": (
        FILES,
        lambda body: first_file(path=body["modelFiles"][1]["path"].upper())(body),
        "one file on some systems",
    ),
    "a file that is a folder": (FILES, first_file(path="citrinet-1024/config"), "and a folder"),
    "a negative size": (FILES, first_file(sizeInBytes=-1), "is -1"),
    "a size as text": (FILES, first_file(sizeInBytes="7"), "whole number"),
    "a size beyond belief": (FILES, first_file(sizeInBytes=2**52), "not from 0"),
    "another size": (FILES, first_file(sizeInBytes=7), "bytes together"),
    "a short hash": (FILES, first_file(sha256_base64="AAAA"), "SHA-256 that is none"),
    "a hash in hex": (FILES, first_file(sha256_base64="0" * 64), "SHA-256 that is none"),
    "a hash that is no base64": (FILES, first_file(sha256_base64="!" * 44), "SHA-256 that is none"),
    "a hash that is a number": (FILES, first_file(sha256_base64=5), "SHA-256 that is none"),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_lies_is_refused(http: Http, ngc: EmulatedNgc, lie: str) -> None:
    where, edit, words = LIES[lie]
    ngc.faults.add(where, edit=edit, times=None)
    with pytest.raises(SourceError, match=words):
        NgcSource(http).resolve(CITRINET)


def test_an_answer_that_is_cut_in_half_is_refused(http: Http, ngc: EmulatedNgc) -> None:
    ngc.faults.add("GET api.ngc.nvidia.com/", malformed=True)
    with pytest.raises(SourceError, match="no JSON object"):
        NgcSource(http).resolve(CITRINET)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1, "a": 2}', b"{" + b" " * (17 << 20)],
)
def test_an_answer_that_is_no_object_is_refused(http: Http, ngc: EmulatedNgc, body: bytes) -> None:
    ngc.faults.add("GET api.ngc.nvidia.com/", status=200, body=body)
    with pytest.raises(SourceError, match=r"no JSON object|more than \d+ bytes"):
        NgcSource(http).resolve(CITRINET)


URL_LIES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no URL": (change(urls=[]), "the one URL"),
    "two URLs": (lambda body: {**body, "urls": body["urls"] * 2}, "the one URL"),
    "a number": (change(urls=[7]), "the one URL"),
    "another file": (change(filepath=["other"]), "another file"),
    "a changed file": (change(sha256_base64=["A" * 43 + "="]), "another file now"),
    "a local file": (change(urls=["file:///etc/passwd"]), "no HTTP URL"),
    "a user in the URL": (change(urls=["https://a:b@localhost/"]), "no HTTP URL"),
    "plain HTTP elsewhere": (change(urls=["http://example.com/f"]), "plain HTTP"),
}


@pytest.mark.parametrize("lie", URL_LIES)
def test_a_url_that_lies_is_not_followed(http: Http, ngc: EmulatedNgc, lie: str) -> None:
    edit, words = URL_LIES[lie]
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    ngc.faults.add(r"deployable_v2.0.0/files$", edit=edit, times=None)
    with pytest.raises(SourceError, match=words):
        fetch(source, locked, file_of(locked, MODEL))


def test_a_relative_url_belongs_to_the_api(
    http: Http, catalogue: Catalogue, ngc: EmulatedNgc, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key(monkeypatch, catalogue, "personal")
    source = NgcSource(http)
    locked = source.resolve(DETECTOR)
    path = "/v2/org/abc123xyz/team/vision/models/detector_weights/versions/1.0/files/weights.bin"
    ngc.faults.add(r"detector_weights/1.0/files$", edit=change(urls=[path]))
    assert len(fetch(source, locked, file_of(locked, "weights.bin"))) == 70_000


def test_an_empty_file_is_never_asked_for(http: Http, ngc: EmulatedNgc) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    empty = file_of(locked, "citrinet-1024/.complete")
    before = len(ngc.requests)
    with source.opener(locked, empty)(0) as blocks:
        assert b"".join(blocks) == b""
    assert len(ngc.requests) == before
    assert empty.content.digest == Digest.of(b"")


def test_a_file_that_is_shorter_now_is_told(http: Http, ngc: EmulatedNgc) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    ngc.faults.add("GET xfiles", status=416, times=None)
    with pytest.raises(SourceError, match="416"):
        fetch(source, locked, file_of(locked, MODEL))


@pytest.mark.parametrize("where", [{}, {"org": "a", "name": "b"}, {"type": "x"}])
def test_a_lock_that_names_no_item_is_refused(http: Http, where: dict[str, str]) -> None:
    good = NgcSource(http).resolve(CITRINET)
    bad = {**good.origin.where, **where} if "type" in where else where
    with pytest.raises(SourceError, match="the lock has an ngc origin"):
        Item.of(type(good.origin)("ngc", bad))


@given(st.one_of(st.none(), st.text(max_size=60), st.integers(), st.binary(max_size=60)))
@settings(deadline=None)
def test_a_hash_is_a_hash_or_nothing_or_an_error(value: object) -> None:
    try:
        found = digest_of(value, "a file")
    except SourceError:
        return
    assert found is None or len(found.hex) == 64


@given(st.binary(min_size=0, max_size=40))
@settings(deadline=None)
def test_a_true_hash_is_read_back(data: bytes) -> None:
    digest = hashlib.sha256(data)
    text = base64.b64encode(digest.digest()).decode()
    assert digest_of(text, "a file") == f"sha256:{digest.hexdigest()}"
