from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bundle.digest import Digest
from bundle.errors import DrayError, NotFound, SourceError, UsageError
from bundle.whole import Unranged
from bundler.entries import NgcEntry
from bundler.lock import Lock, load
from bundler.sources.keyring import GUEST, Keyring
from bundler.sources.ngc import NgcSource
from bundler.sources.ngc_api import Item
from fixtures.content import fileset
from fixtures.ngc.world import API
from tests.bundler.sources.items import (
    CITRINET,
    DETECTOR,
    LLAMA,
    MODEL,
    QUICKSTART,
    fetch,
    file_of,
    use_key,
)

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.http import Http
    from fixtures.ngc import Catalogue, EmulatedNgc


NUMBER = "made-to-fail"


@pytest.mark.parametrize("key", ["", "personal", "service", "legacy"])
def test_a_public_model_is_pinned_and_fetched_with_every_kind_of_key(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    use_key(monkeypatch, catalogue, key)
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    files = catalogue.filesets["models", str(CITRINET).partition(":")[0]].versions
    there = files[CITRINET.version].files
    assert {item.path: item.digest for item in locked.artifact.files} == {
        path: blob.digest for path, blob in there.items()
    }
    assert not any(item.unvouched for item in locked.contents if item.content.path)
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


def test_the_redirect_of_a_file_is_followed_once_for_all_its_ranges(
    http: Http, ngc: EmulatedNgc, catalogue: Catalogue
) -> None:
    files = fileset("weights", {"weights.bin": 5000})
    catalogue.add_files("models", "nim/meta/big", "1", files)
    source = NgcSource(http)
    locked = source.resolve(NgcEntry("model", "nim", "meta", "big", "1"))
    open_at = source.opener(locked, file_of(locked, "weights.bin"))
    found = b""
    for start in range(0, 5000, 1000):
        with open_at(start, start + 1000) as blocks:
            found += b"".join(blocks)
    assert Digest.of(found) == files["weights.bin"].digest
    asked = [e for e in ngc.requests if e.site == API and e.path.endswith("/files/weights.bin")]
    assert len(asked) == 1


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
    sent = [entry for entry in ngc.requests if entry.path.endswith(f"/files/{MODEL}")]
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


def test_ranges_of_a_file_share_a_url_until_it_is_refused(http: Http, ngc: EmulatedNgc) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    model = file_of(locked, MODEL)
    whole, opened, before = (
        fetch(source, locked, model),
        source.opener(locked, model),
        len(ngc.requests),
    )
    for start in (0, 10_000, 20_000, 30_000):
        if start == 20_000:
            ngc.passes.expire_urls()
        with opened(start, start + 5000) as blocks:
            assert b"".join(blocks) == whole[start : start + 5000]
    asked = [entry.site.partition(".")[0] for entry in ngc.requests[before:]]
    assert asked == ["api", "xfiles", "xfiles", "xfiles", "api", "xfiles", "xfiles"]


def test_a_range_of_a_file_without_ranges_is_not_taken_from_the_whole(
    http: Http, ngc: EmulatedNgc
) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    opened = source.opener(locked, file_of(locked, MODEL))
    ngc.faults.add("GET xfiles", ignore_range=True)
    with pytest.raises(Unranged), opened(10, 20):
        pass


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
    assert NgcSource(http, keys=Keyring(file=file)).resolve(DETECTOR).artifact.version == "1.0"
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


def test_a_file_that_is_shorter_now_is_told(http: Http, ngc: EmulatedNgc) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    ngc.faults.add("GET xfiles", status=416, times=None)
    with pytest.raises(SourceError, match="416"):
        fetch(source, locked, file_of(locked, MODEL))


def test_an_empty_file_is_never_asked_for(http: Http, ngc: EmulatedNgc) -> None:
    source = NgcSource(http)
    locked = source.resolve(CITRINET)
    empty = file_of(locked, "citrinet-1024/.complete")
    before = len(ngc.requests)
    with source.opener(locked, empty)(0) as blocks:
        assert b"".join(blocks) == b""
    assert len(ngc.requests) == before
    assert empty.content.digest == Digest.of(b"")


@pytest.mark.parametrize("where", [{}, {"org": "a", "name": "b"}, {"type": "x"}])
def test_a_lock_that_names_no_item_is_refused(http: Http, where: dict[str, str]) -> None:
    good = NgcSource(http).resolve(CITRINET)
    bad = {**good.origin.where, **where} if "type" in where else where
    with pytest.raises(SourceError, match="the lock has an ngc origin"):
        Item.of(type(good.origin)("ngc", bad))
