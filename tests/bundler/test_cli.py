"""The low side's commands: what they write, what they print, and how they end."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundler.lock import load as load_lock
from bundler.resolve import Upstreams
from bundler.sink import Cursor
from tests.bundler.sources.fakeregistry import FakeRegistry
from tests.bundler.world import leftovers, noise
from tests.e2e.desk import Desk

if TYPE_CHECKING:
    from bundle.registry import Registry

NAME = "up.example/a:1"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    """What every registry that a command asks has."""
    made = FakeRegistry()
    made.image("one", "1")
    made.image("two", "2")

    def registry(_self: Upstreams, _host: str) -> Registry:
        return made  # type: ignore[return-value]

    monkeypatch.setattr(Upstreams, "registry", registry)
    return made


@pytest.fixture
def desk(tmp_path: Path, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with a key, a trust file and a spec of one image."""
    made = Desk(tmp_path / "desk")
    made.folder.mkdir()
    made.dray("keygen", "--no-passphrase")
    made.spec(NAME)
    return made


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_init_writes_a_spec_that_loads_a_key_pair_and_a_trust_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    done = desk.dray("init", "new", "--stream", "prod", "--no-passphrase")
    assert files(tmp_path / "new") == ["dray.key", "dray.pub", "dray.yaml", "trust.json"]
    assert "next: edit new/dray.yaml" in done.out
    assert (tmp_path / "new/dray.key").stat().st_mode & 0o777 == 0o600
    trust = json.loads((tmp_path / "new/trust.json").read_bytes())
    assert trust["streams"] == {"prod": {"keys": ["dray"], "threshold": 1, "epoch": 0}}


def test_init_names_what_it_wrote_for_machines(tmp_path: Path) -> None:
    written = Desk(tmp_path).dray("init", "--no-passphrase", "--json").json["written"]
    assert sorted(written) == files(tmp_path)


@pytest.mark.parametrize("name", ["dray.yaml", "dray.key", "dray.pub", "trust.json"])
def test_init_writes_over_nothing_and_beside_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    done = Desk(tmp_path).dray("init", "--no-passphrase", code=2)
    assert "is there already" in done.err
    assert files(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    "options", [("--stream", "Bad Name"), ("--stream", "x-"), ("--name", "Bad Name")]
)
def test_init_with_a_bad_name_writes_nothing(tmp_path: Path, options: tuple[str, ...]) -> None:
    Desk(tmp_path).dray("init", "--no-passphrase", *options, code=2)
    assert files(tmp_path) == []


def test_keygen_makes_either_kind_and_tells_the_fingerprint(tmp_path: Path) -> None:
    for kind in ("p256", "ed25519"):
        options = ("--name", kind, "--type", kind, "--no-passphrase", "--json")
        made = Desk(tmp_path).dray("keygen", *options).json
        assert (tmp_path / made["public"]).read_text().startswith("-----BEGIN PUBLIC KEY-----")
        assert made["fingerprint"].startswith("sha256:")


def test_keygen_replaces_no_key(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.dray("keygen", "--no-passphrase")
    before = (tmp_path / "dray.key").read_bytes()
    assert "never overwritten" in desk.dray("keygen", "--no-passphrase", code=2).err
    assert (tmp_path / "dray.key").read_bytes() == before


def test_lock_writes_the_lock_beside_the_spec_and_shows_it(desk: Desk) -> None:
    done = desk.dray("lock", "dray.yaml")
    assert NAME in done.out
    assert "wrote dray.lock.yaml" in done.out
    made = load_lock(desk.folder / "dray.lock.yaml")
    assert [one.artifact.name for one in made.artifacts] == [NAME]


def test_lock_asks_nobody_when_the_lock_is_of_the_spec(desk: Desk, fake: FakeRegistry) -> None:
    first = desk.dray("lock", "dray.yaml", "--json").json
    asked = len(fake.asked)
    again = desk.dray("lock", "dray.yaml", "--json").json
    assert len(fake.asked) == asked
    assert (again["changed"], again["digest"]) == (False, first["digest"])


def test_lock_update_tells_what_moved(desk: Desk, fake: FakeRegistry) -> None:
    desk.dray("lock", "dray.yaml")
    before = fake.manifests["1"][0].digest
    moved = fake.image("moved", "1")
    changes = desk.dray("lock", "dray.yaml", "--update", "--json").json["changes"]
    expected = {"artifact": NAME, "change": "moved", "before": before, "after": moved.digest}
    assert changes == [expected]
    assert "nothing moved" in desk.dray("lock", "dray.yaml", "--update").out


def test_a_damaged_lock_is_not_replaced_unless_told_to(desk: Desk) -> None:
    path = desk.folder / "dray.lock.yaml"
    path.write_text("apiVersion: dray/v1\nkind: Lock\nkind: Lock\n")
    for command in (("lock",), ("export", "--to", "out")):
        done = desk.dray(command[0], "dray.yaml", *command[1:], code=2)
        assert "dray.lock.yaml:3" in done.err
    assert "--update writes the lock anew" in desk.dray("lock", "dray.yaml", code=2).err
    assert "warning" in desk.dray("lock", "dray.yaml", "--update").err
    assert load_lock(path).artifacts


def test_a_lock_that_cannot_be_made_leaves_the_one_before(desk: Desk, fake: FakeRegistry) -> None:
    desk.dray("lock", "dray.yaml")
    before = (desk.folder / "dray.lock.yaml").read_bytes()
    fake.manifests.clear()
    done = desk.dray("lock", "dray.yaml", "--update", "--json", code=6)
    assert done.json["error"]["kind"] == "not-found"
    assert (desk.folder / "dray.lock.yaml").read_bytes() == before


def test_a_bad_spec_is_refused_with_file_line_and_column(desk: Desk) -> None:
    (desk.folder / "dray.yaml").write_text("apiVersion: dray/v1\nstream: s\nimagse: []\n")
    for command in (("lock",), ("export", "--to", "out"), ("export", "--to", "out", "--plan")):
        done = desk.dray(command[0], "dray.yaml", *command[1:], code=2)
        assert "dray.yaml:3:1" in done.err
        assert "did you mean 'images'" in done.err


def test_export_locks_seals_and_says_where(desk: Desk) -> None:
    done = desk.dray("export", "dray.yaml", "--to", "out")
    assert "sealed prod-000001: 1 chunk" in done.out
    assert (desk.folder / "dray.lock.yaml").exists()
    assert leftovers(desk.folder) == []
    again = desk.dray("export", "dray.yaml", "--to", "out")
    assert "prod-000001 holds this lock already" in again.out
    assert "sealed prod-000002" in desk.dray("export", "dray.yaml", "--to", "out", "--new").out


def test_export_prints_one_object_for_machines(desk: Desk) -> None:
    first = desk.dray("export", "dray.yaml", "--to", "out", "--json").json
    assert (first["bundle"], first["sequence"], first["chunks"]) == ("prod-000001", 1, 1)
    assert first["folders"] == ["out/prod-000001"]
    again = desk.dray("export", "dray.yaml", "--to", "out", "--json").json
    assert again == {**first, "fetched": 0, "kept": first["fetched"], "unchanged": True}


@pytest.mark.parametrize("options", [(), ("--json",), ("--restart",), ("--compress",), ("--new",)])
def test_a_plan_writes_nothing_and_needs_no_key(desk: Desk, options: tuple[str, ...]) -> None:
    (desk.folder / "dray.key").unlink()
    before = files(desk.folder)
    done = desk.dray("export", "dray.yaml", "--to", "a", "--to", "b", "--plan", *options)
    assert files(desk.folder) == before
    assert not (desk.folder / "a").exists()
    if "--json" in options:
        assert [medium["folder"] for medium in done.json["media"]] == [
            "a/prod-000001",
            "b/prod-000001",
        ]
    else:
        assert "medium 2: 0 chunks" in done.out
        assert NAME in done.out


def test_a_plan_with_restart_leaves_an_unfinished_export_alone(
    desk: Desk, fake: FakeRegistry
) -> None:
    taken = dict(fake.blobs)
    desk.dray("lock", "dray.yaml")
    fake.blobs.clear()
    desk.dray("export", "dray.yaml", "--to", "out", code=1)
    before = files(desk.folder)
    desk.dray("export", "dray.yaml", "--to", "out", "--plan", "--restart")
    assert files(desk.folder) == before
    fake.blobs.update(taken)
    assert "going on with" in desk.dray("export", "dray.yaml", "--to", "out").out


def test_a_spec_that_changed_since_the_lock_is_refused(desk: Desk) -> None:
    desk.dray("lock", "dray.yaml")
    desk.spec(NAME, "up.example/a:2")
    done = desk.dray("export", "dray.yaml", "--to", "out", code=2)
    assert "dray.lock.yaml is not of this dray.yaml" in done.err
    assert "hint: dray lock dray.yaml" in done.err


def test_the_key_is_asked_for_before_anything_is_fetched(desk: Desk) -> None:
    desk.dray("lock", "dray.yaml")
    (desk.folder / "dray.key").rename(desk.folder / "none")
    done = desk.dray("export", "dray.yaml", "--to", "out", code=2)
    assert "no *.key beside dray.yaml: which key signs?" in done.err
    assert not (desk.folder / "out").exists()
    desk.dray("keygen", "--name", "a", "--no-passphrase")
    desk.dray("keygen", "--name", "b", "--no-passphrase")
    assert "2 *.key files" in desk.dray("export", "dray.yaml", "--to", "out", code=2).err


def test_two_keys_of_one_name_would_be_one_signature_and_are_refused(desk: Desk) -> None:
    desk.dray("keygen", "other", "--no-passphrase")
    keys = ("--key", "dray.key", "--key", "other/dray.key")
    done = desk.dray("export", "dray.yaml", "--to", "out", *keys, code=2)
    assert "two keys are called dray" in done.err
    assert not (desk.folder / "out").exists()


def test_several_keys_sign_and_a_second_person_adds_a_signature(desk: Desk) -> None:
    for name in ("b", "c"):
        desk.dray("keygen", "--name", name, "--no-passphrase")
    done = desk.dray(
        "export", "dray.yaml", "--to", "out", "--key", "dray.key", "--key", "b.key", "--json"
    )
    folder = done.json["folders"][0]
    signed = desk.dray("sign", folder, "--key", "c.key", "--pub", "dray.pub", "--json")
    assert [Path(path).name for path in signed.json["written"]] == [
        "prod-000001.manifest.json.c.sigstore.json",
        "prod-000001.manifest.json.c.sig",
    ]
    for name in ("dray", "b", "c"):
        desk.dray("verify", "out", "--pub", f"{name}.pub")
    assert "no trust file" in desk.dray("sign", folder, "--key", "c.key", code=5).err
    text = desk.dray("sign", folder, "--key", "c.key", "--pub", "b.pub").out
    assert text.count("wrote ") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--chunk-size", "huge"), "not a size: 'huge'"),
        (("--chunk-size", "1kB"), "is too small"),
        (("--media", "1MB,x"), "not a size: 'x'"),
        (("--media", "0"), "a medium of 0 bytes"),
        (("--media", "1kB"), "the media are too small"),
        (("--media", "1GB,1GB", "--to", "b", "--to", "c"), "3 folders but 2 media sizes"),
        (("--to", "out"), "the same --to folder is given twice"),
        (("--to", "./x/../out"), "the same --to folder is given twice"),
        (("--key", "nowhere.key"), "nowhere.key"),
        (("--key", "dray.pub"), "not a private key"),
        (("--nope",), "No such option"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(
    desk: Desk, options: tuple[str, ...], message: str
) -> None:
    desk.dray("lock", "dray.yaml")
    before = files(desk.folder)
    done = desk.dray("export", "dray.yaml", "--to", "out", *options, code=2)
    assert message in done.err
    machine = desk.dray("export", "dray.yaml", "--to", "out", *options, "--json", code=2)
    assert message in machine.json["error"]["message"]
    assert machine.json["error"]["exitCode"] == 2
    assert files(desk.folder) == before


def test_options_come_from_the_environment_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_TO", os.pathsep.join(["a", "b"]))
    monkeypatch.setenv("DRAY_CHUNK_SIZE", "dvd")
    monkeypatch.setenv("DRAY_JSON", "1")
    done: Any = desk.dray("export", "dray.yaml", "--plan").json
    assert [medium["folder"] for medium in done["media"]] == ["a/prod-000001", "b/prod-000001"]
    monkeypatch.setenv("DRAY_CHUNK_SIZE", "none")
    error = desk.dray("export", "dray.yaml", "--plan", code=2).json["error"]
    assert "not a size" in error["message"]


def test_a_failure_names_every_artifact_with_what_to_do(desk: Desk, fake: FakeRegistry) -> None:
    desk.spec(NAME, "up.example/a:2")
    desk.dray("lock", "dray.yaml")
    layer = next(digest for digest, data in fake.blobs.items() if data == b"layer of one")
    fake.blobs[layer] = b"other bytes!"
    done = desk.dray("export", "dray.yaml", "--to", "out", code=6)
    assert "prod-000001 is not sealed: 1 artifact failed" in done.err
    assert f"{NAME}: {layer[:19]}: upstream sent other bytes" in done.err
    assert "mend this and run again" in done.err
    assert not list(desk.folder.rglob("*.manifest.json"))


def test_an_interrupted_export_says_so_and_goes_on(
    desk: Desk, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"config": fake.blob(b"{}", "a/b"), "layers": [fake.blob(noise("large", 3_000_000))]}
    fake.push(body, "application/vnd.oci.image.manifest.v1+json", "1")
    desk.dray("lock", "dray.yaml")
    real, told = Cursor.write, threading.Event()

    def write(self: Cursor, block: bytes | memoryview) -> None:
        real(self, block)
        if not told.is_set():  # a second signal would end this process
            told.set()
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Cursor, "write", write)
        done = desk.dray("export", "dray.yaml", "--to", "out", "--json", code=8)
    assert done.json["error"]["kind"] == "partly-done"
    assert "run the same command again" in done.err
    assert "going on with prod-000001" in desk.dray("export", "dray.yaml", "--to", "out").out


def test_a_folder_that_is_a_file_is_a_bad_option(desk: Desk) -> None:
    (desk.folder / "out").write_bytes(b"")
    done = desk.dray("export", "dray.yaml", "--to", "out", code=2)
    assert "Directory 'out' is a file" in done.err


def test_a_folder_that_cannot_be_made_is_named(desk: Desk) -> None:
    (desk.folder / "out").write_bytes(b"")
    done = desk.dray("export", "dray.yaml", "--to", "out/sub", code=6)
    assert "out/sub" in done.err
    assert "Not a directory" in done.err
    assert "unexpected" not in done.err
