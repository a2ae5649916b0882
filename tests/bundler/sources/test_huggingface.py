"""Models of Hugging Face, with the real huggingface_hub against an emulated hub."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest
from huggingface_hub.utils._paths import filter_repo_objects

from bundle.errors import DrayError, NotFound, SourceError, UsageError, VerificationError
from bundle.http import Host, Http
from bundler import spec
from bundler.entries import HfEntry
from bundler.resolve import Upstreams, resolve
from bundler.sources import hf_hub
from bundler.sources.huggingface import HuggingFaceSource
from fixtures.hub import Repo, emulate_hub
from tests.bundler.sources.items import fetch, file_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fixtures.hub import EmulatedHub

COMMIT = "c0ffee" * 6 + "c0ff"
ENTRY = HfEntry("nvidia/Tiny-Model", COMMIT)
FILES = {
    "config.json": b'{"model_type": "tiny"}',
    "model.safetensors": bytes(range(256)) * 40,
    "tokenizer/vocab 1.txt": b"a\nb\n",
    "empty.txt": b"",
    ".gitattributes": b"*.safetensors filter=lfs\n",
}
LFS = {"model.safetensors"}
SECRET = "hf_madeUpForTestsOnly"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedHub]:
    with emulate_hub() as running:
        running.repos[ENTRY.repo, COMMIT] = Repo(dict(FILES), set(LFS))
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def source(hub: EmulatedHub, plain: Http) -> Iterator[HuggingFaceSource]:
    made = HuggingFaceSource(plain)
    yield made
    made.close()


def test_a_commit_is_pinned_with_every_page_of_its_files(source: HuggingFaceSource) -> None:
    locked = source.resolve(ENTRY)
    assert {file.path for file in locked.artifact.files} == set(FILES)
    assert locked.artifact.name == f"huggingface.co/nvidia/Tiny-Model:{COMMIT}"
    assert locked.artifact.repository == "huggingface.co/nvidia/tiny-model"
    assert locked.origin.where == {"repo": "nvidia/Tiny-Model", "commit": COMMIT}
    assert not file_of(locked, "model.safetensors").unvouched
    assert file_of(locked, "config.json").unvouched
    assert locked.artifact.notes["unvouched"].startswith("4 of 5 files")


@pytest.mark.parametrize("path", sorted(FILES))
def test_files_come_byte_for_byte(source: HuggingFaceSource, path: str) -> None:
    locked = source.resolve(ENTRY)
    assert fetch(source, locked, file_of(locked, path)) == FILES[path]


def test_a_cut_connection_is_taken_up_where_it_broke(
    source: HuggingFaceSource, hub: EmulatedHub
) -> None:
    locked = source.resolve(ENTRY)
    hub.cut_after = 4000
    path = "model.safetensors"
    assert fetch(source, locked, file_of(locked, path)) == FILES[path]
    assert sum("/cdn/" in asked for asked, _ in hub.asked) == 3


def test_the_token_goes_to_the_hub_and_to_nobody_else(
    source: HuggingFaceSource, hub: EmulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub.repos[ENTRY.repo, COMMIT].token = SECRET
    locked = source.resolve(ENTRY)
    fetch(source, locked, file_of(locked, "model.safetensors"))
    assert SECRET not in json.dumps(locked.to_dict())
    sent = {("/cdn/" in asked, header) for asked, header in hub.asked}
    assert sent == {(False, f"Bearer {SECRET}"), (True, "")}


def test_bytes_that_git_does_not_know_are_refused(
    source: HuggingFaceSource, hub: EmulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fixtures.hub.git_blob", lambda _data: "0" * 40)
    with pytest.raises(VerificationError, match="other bytes than git's 0000"):
        source.resolve(ENTRY)


def test_a_commit_that_is_not_there_is_told(source: HuggingFaceSource) -> None:
    with pytest.raises(NotFound, match="has no commit 000000000000 of nvidia/Tiny-Model"):
        source.resolve(HfEntry(ENTRY.repo, "0" * 40))


def test_a_hidden_repository_asks_for_a_token(source: HuggingFaceSource, hub: EmulatedHub) -> None:
    hub.repos[ENTRY.repo, COMMIT].token = SECRET
    with pytest.raises(SourceError, match="without a token") as caught:
        source.resolve(ENTRY)
    assert "HF_TOKEN" in caught.value.hint


@pytest.mark.parametrize(
    ("token", "status", "words"), [("", 401, "set HF_TOKEN"), (SECRET, 403, "")]
)
@pytest.mark.parametrize("include", [(), ("*.safetensors",)])
def test_a_gated_repository_can_be_listed_and_asks_for_its_terms_to_be_accepted(
    source: HuggingFaceSource,
    hub: EmulatedHub,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    status: int,
    words: str,
    include: tuple[str, ...],
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    hub.repos[ENTRY.repo, COMMIT].gated = True
    assert len(source.files(ENTRY.repo, COMMIT)) == len(FILES)
    with pytest.raises(
        SourceError, match=rf"does not give .* of nvidia/Tiny-Model .*\({status}\)"
    ) as caught:
        source.resolve(replace(ENTRY, include=include))
    assert "accept its terms" in caught.value.hint
    assert words in caught.value.hint
    assert SECRET not in str(caught.value) + caught.value.hint


def test_a_repository_that_was_switched_off_is_told(
    source: HuggingFaceSource, hub: EmulatedHub
) -> None:
    hub.repos[ENTRY.repo, COMMIT].disabled = True
    with pytest.raises(SourceError, match="has switched off the repository"):
        source.resolve(ENTRY)


def test_a_renamed_repository_is_followed_and_told(
    source: HuggingFaceSource, hub: EmulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    new = "nvidia/New-Name"
    repo = hub.repos.pop((ENTRY.repo, COMMIT))
    repo.token = SECRET
    hub.repos[new, COMMIT] = repo
    hub.moved[ENTRY.repo] = new
    locked = source.resolve(ENTRY)
    assert locked.artifact.notes["renamed"] == f"the hub calls it {new} now"
    assert locked.artifact.name.startswith("huggingface.co/nvidia/Tiny-Model:")
    assert fetch(source, locked, file_of(locked, "model.safetensors")) == FILES["model.safetensors"]
    assert {header for asked, header in hub.asked if "/cdn/" in asked} == {""}


CHOICES: list[tuple[tuple[str, ...], tuple[str, ...], set[str]]] = [
    (("*.safetensors",), (), {"model.safetensors"}),
    (("*.json", "*.safetensors"), (), {"config.json", "model.safetensors"}),
    ((), ("tokenizer/", ".git*"), {"config.json", "model.safetensors", "empty.txt"}),
    (("*.txt",), (), {"tokenizer/vocab 1.txt", "empty.txt"}),
    (("*.txt",), ("tokenizer/*",), {"empty.txt"}),
    (("tokenizer/",), (), {"tokenizer/vocab 1.txt"}),
    (("*",), (), set(FILES)),
]


@pytest.mark.parametrize(("include", "exclude", "expected"), CHOICES)
def test_patterns_take_what_the_library_would_take(
    source: HuggingFaceSource,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    expected: set[str],
) -> None:
    entry = replace(ENTRY, include=include, exclude=exclude)
    locked = source.resolve(entry)
    assert {file.path for file in locked.artifact.files} == expected
    allow, ignore = list(include) or None, list(exclude)
    theirs = filter_repo_objects(FILES, allow_patterns=allow, ignore_patterns=ignore)
    assert set(theirs) == expected
    said = f"{len(expected)} of the commit's 5 files"
    assert locked.artifact.notes.get("partial") == (said if len(expected) < len(FILES) else None)


@pytest.mark.parametrize(
    ("include", "exclude", "words"),
    [
        (("*.bin",), (), "no file of nvidia/Tiny-Model is called like"),
        (("*.json", "*.pt"), (), "no file of nvidia/Tiny-Model is called like"),
        ((), ("original/",), "no file of nvidia/Tiny-Model is called like"),
        (("*.JSON",), (), "no file of nvidia/Tiny-Model is called like"),
        (("*.json",), ("*",), "exclude leaves no file"),
    ],
)
def test_a_pattern_that_takes_nothing_is_refused(
    source: HuggingFaceSource, include: tuple[str, ...], exclude: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        source.resolve(replace(ENTRY, include=include, exclude=exclude, where="dray.yaml:4:5"))


def test_a_path_that_is_left_behind_is_checked_too(
    source: HuggingFaceSource, hub: EmulatedHub
) -> None:
    hub.repos[ENTRY.repo, COMMIT].files["../outside"] = b"x"
    with pytest.raises(SourceError, match="file"):
        source.resolve(replace(ENTRY, include=("*.json",)))


def test_a_commit_that_is_all_lfs_is_probed_by_one_byte(
    source: HuggingFaceSource, hub: EmulatedHub
) -> None:
    source.resolve(replace(ENTRY, include=("*.safetensors",)))
    assert [asked for asked, _ in hub.asked if "/cdn/" in asked] == [
        f"/cdn/{ENTRY.repo}/{COMMIT}/model.safetensors?Signature=secret"
    ]


def test_another_commit_in_the_answer_is_refused(
    source: HuggingFaceSource, hub: EmulatedHub
) -> None:
    hub.lies["sha"] = "1" * 40
    with pytest.raises(SourceError, match="answers about another commit"):
        source.resolve(ENTRY)


def test_a_list_whose_pages_never_end_is_refused(
    source: HuggingFaceSource, hub: EmulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf_hub, "MOST_ANSWERS", 20)
    hub.endless = True
    with pytest.raises(SourceError, match="more than 20 pages: a list without end"):
        source.resolve(ENTRY)
    assert len(hub.asked) == 20


def test_an_answer_that_is_too_long_is_read_no_further(
    source: HuggingFaceSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf_hub, "ANSWER_LIMIT", 50)
    with pytest.raises(SourceError, match="more than 50 bytes"):
        source.resolve(ENTRY)


def test_an_answer_that_is_packed_is_not_unpacked() -> None:
    bomb = httpx2.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([b""]))
    with pytest.raises(SourceError, match="encoding that was not asked for"):
        hf_hub._bound(bomb)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a\\b", "Config.json"])
def test_hostile_paths_are_refused(source: HuggingFaceSource, hub: EmulatedHub, path: str) -> None:
    hub.repos[ENTRY.repo, COMMIT].files[path] = b"x"
    with pytest.raises(SourceError, match="file"):
        source.resolve(ENTRY)


@pytest.mark.parametrize("url", ["http://hub.example.com", "hub.example.com", "https://u:p@h/"])
def test_an_endpoint_that_would_show_the_token_is_refused(
    plain: Http, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    with pytest.raises(UsageError, match="HF_ENDPOINT is no https:// URL") as caught:
        HuggingFaceSource(plain).resolve(ENTRY)
    assert "u:p" not in str(caught.value)


def test_without_the_library_the_command_to_install_it_is_given(
    source: HuggingFaceSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "bundler.sources.hf_hub", raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match="huggingface_hub, which is not installed") as caught:
        source.resolve(ENTRY)
    assert "pip install" in caught.value.hint


def test_a_mirror_in_the_spec_comes_before_the_environment(
    hub: EmulatedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.com")
    http = Http({"huggingface.co": Host(endpoint=hub.url)})
    source = HuggingFaceSource(http)
    try:
        assert len(list(source.resolve(ENTRY).artifact.files)) == len(FILES)
    finally:
        source.close()
        http.close()


def test_a_spec_with_hf_is_locked(hub: EmulatedHub, tmp_path: Path) -> None:
    path = tmp_path / "dray.yaml"
    path.write_text(
        "apiVersion: dray/v1\nstream: s\n"
        f"registries: {{huggingface.co: {{endpoint: '{hub.url}', plain-http: true}}}}\n"
        f"hf: [{{repo: {ENTRY.repo}, commit: {COMMIT}}}]\n"
    )
    loaded = spec.load(path)
    upstreams = Upstreams(loaded, lambda _text: None)
    try:
        (locked,) = resolve(loaded, upstreams).artifacts
        content = file_of(locked, "model.safetensors")
        with upstreams.opener(locked, content)(10_000) as blocks:
            assert b"".join(blocks) == FILES["model.safetensors"][10_000:]
    except DrayError as error:
        pytest.fail(error.message)
    finally:
        upstreams.close()
