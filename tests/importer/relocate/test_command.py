"""What ``dray relocate`` believes, what it refuses, and what it leaves alone."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import TYPE_CHECKING

import requests

from bundle.decode import dump_json
from bundle.secretfile import Passphrase
from importer.receipts import signing
from tests import keys
from tests.importer.relocate.site import forged
from tests.refusals.table import dray, snapshot

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.importer.relocate.site import High

CUDA = "nvcr.io/nvidia/cuda:12.6"
TORCH = "nvcr.io/nvidia/pytorch:24.12"


def test_the_same_receipt_gives_the_same_bytes(high: High) -> None:
    high.load([CUDA, TORCH])
    assert high.relocate().code == 0
    before = snapshot(high.folder / "out")
    again = high.relocate()
    assert (again.code, again.out.splitlines()[0]) == (0, "unchanged: out: 9 files")
    assert snapshot(high.folder / "out") == before
    assert high.relocate(output="other").code == 0
    assert high.files() == high.files("other")
    sums = subprocess.run(["sha256sum", "-c", "sha256sums"], cwd=high.folder / "out", check=False)
    assert sums.returncode == 0


def test_a_later_import_changes_the_folder_whole(high: High) -> None:
    high.load([CUDA, "ghcr.io/x/app:1"])
    assert high.relocate().code == 0
    high.load([TORCH])
    done = high.relocate("--json")
    assert done.code == 0
    assert json.loads(done.out)["changed"] is True
    assert not any("ghcr.io" in path for path in high.files())
    assert not list(high.folder.glob(".out*")), "nothing is left beside it"


def test_several_receipts_are_one_folder(high: High) -> None:
    high.load([CUDA])
    first = high.receipt
    high.load([TORCH])
    assert high.relocate(first).code == 0
    rows = json.loads(high.files()["image-map.json"])["artifacts"]
    assert [row["source"] for row in rows] == [CUDA, TORCH]


def refused(high: High, *arguments: object, code: int) -> str:
    """Run it, see that nothing was written, and return what it said."""
    done = high.relocate(*arguments)
    assert (done.code, (high.folder / "out").exists()) == (code, False), done
    assert "hint:" in done.err, done
    return done.err


def test_a_receipt_that_nobody_signed_is_refused(high: High) -> None:
    (high.folder / "config/dray/receipt.key").rename(high.folder / "away")
    high.load([CUDA])
    assert "is not signed" in refused(high, code=5)


def test_a_receipt_that_was_changed_is_refused(high: High) -> None:
    high.load([CUDA])

    def change(body: dict[str, Any]) -> None:
        row = body["predicate"]["artifacts"][0]
        row["place"] = row["place"].replace("/nvidia/", "/attacker/")

    high.receipt.write_bytes(forged(high.receipt, change))
    assert "was changed, or signed by another key" in refused(high, code=5)


def test_the_receipt_of_another_key_is_refused(high: High, tmp_path: Path) -> None:
    high.load([CUDA])
    assert dray("receipt", "keygen", "--no-passphrase", "other", folder=tmp_path).code == 0
    said = refused(high, "--pub", "other/receipt.pub", code=5)
    assert "signed by another key" in said


def test_without_a_key_nothing_is_believed(high: High) -> None:
    high.load([CUDA])
    (high.folder / "config/dray/receipt.pub").unlink()
    assert "no key to verify the receipts with" in refused(high, code=2)


def test_what_left_its_target_is_refused_by_name(high: High) -> None:
    high.load([CUDA, TORCH])
    base = f"http://{high.registry}/v2/{high.prefix}/nvidia"
    kinds = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    torch = requests.get(f"{base}/pytorch/manifests/24.12", headers=kinds, timeout=10)
    moved = requests.put(
        f"{base}/pytorch/manifests/24.12",
        data=torch.content + b"\n",
        headers={"Content-Type": kinds["Accept"]},
        timeout=10,
    )
    assert moved.status_code == 201
    told = torch.headers["Docker-Content-Digest"]
    said = refused(high, code=6)
    assert f"{high.target}/nvidia/pytorch:24.12 is sha256:" in said
    assert f"not {told}" in said
    assert "cuda" not in said


def test_a_registry_that_is_away_is_refused(high: High) -> None:
    high.load([CUDA])
    file = high.folder / "away.yaml"
    file.write_text(
        f"apiVersion: dray/v1\ntargets: [{{to: registry://{high.target}, "
        "endpoint: http://127.0.0.1:9}]\n"
    )
    assert "127.0.0.1:9: connection refused" in refused(high, "--to", file, code=6)


def test_files_of_others_are_left_alone(high: High) -> None:
    high.load([CUDA])
    own = high.folder / "out" / "notes.txt"
    own.parent.mkdir()
    own.write_text("mine")
    before = snapshot(high.folder / "out")
    done = high.relocate()
    assert (done.code, "notes.txt was not written by dray" in done.err) == (2, True), done
    assert snapshot(high.folder / "out") == before


def test_files_that_were_edited_are_left_alone(high: High) -> None:
    high.load([CUDA])
    assert high.relocate().code == 0
    high.load([TORCH])
    edited = high.folder / "out/containerd/certs.d/nvcr.io/hosts.toml"
    edited.write_text(edited.read_text() + "# mine\n")
    before = snapshot(high.folder / "out")
    done = high.relocate()
    assert (done.code, "was changed since dray wrote it" in done.err) == (2, True), done
    assert snapshot(high.folder / "out") == before


def test_a_link_in_the_folder_is_no_file_of_ours(high: High) -> None:
    high.load([CUDA])
    assert high.relocate().code == 0
    path = high.folder / "out/verify"
    path.rename(high.folder / "elsewhere")
    path.symlink_to(high.folder / "elsewhere")
    high.load([TORCH])
    done = high.relocate()
    assert (done.code, "verify was not written by dray" in done.err) == (2, True), done


def test_two_places_of_one_repository_want_a_choice(high: High) -> None:
    high.load([CUDA])
    first = high.receipt
    label = high.target
    high.prefix += "b"
    high.load([TORCH, "nvcr.io/nvidia/cuda:12.8"])
    said = refused(high, first, code=2)
    assert f"nvcr.io/nvidia/cuda is at {label}/nvidia/cuda and at {high.target}" in said
    assert high.relocate(first, "--target", high.target).code == 0
    rows = json.loads(high.files()["image-map.json"])["artifacts"]
    assert {row["source"] for row in rows} == {TORCH, "nvcr.io/nvidia/cuda:12.8"}
    done = high.relocate("--target", "elsewhere", output="more")
    assert (done.code, "no receipt speaks of the target elsewhere" in done.err) == (2, True)


def test_formats_are_chosen_and_unknown_ones_refused(high: High) -> None:
    high.load([CUDA])
    assert "'docker' is no format" in refused(high, "--for", "docker", code=2)
    assert high.relocate("--for", "crio").code == 0
    assert sorted(high.files()) == [
        "README.md",
        "crio/registries.conf.d/50-dray.conf",
        "image-map.json",
        "sha256sums",
        "verify",
    ]


def test_images_in_a_folder_are_said_to_be_out_of_reach(high: High, tmp_path: Path) -> None:
    high.load([CUDA], models={"ngc/nvidia/riva:1.0": {"model.bin": b"x"}}, to=["warehouse"])
    media = tmp_path / "medium-1"
    arguments = ("--trust", media / "trust.json", "--to", "warehouse", "--receipt", "folder.json")
    assert dray("import", *arguments, media / "prod-000001", folder=tmp_path).code == 0
    done = dray("relocate", "folder.json", "--output", "out", folder=tmp_path)
    assert done.code == 0, done
    assert "lies in the folder warehouse: no node can pull from there" in done.out


def test_a_ca_with_a_key_in_it_is_refused(high: High) -> None:
    high.load([CUDA])
    (high.folder / "ca.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    assert "holds no certificate" in refused(high, "--ca", "ca.pem", code=2)


def test_a_place_that_no_registry_has_is_refused(high: High) -> None:
    """Signed by the right key, and wrong all the same."""
    high.load([CUDA])
    key, _warning = signing.load(
        high.folder / "config/dray/receipt.key", keys.trust(), passphrase=Passphrase()
    )
    body = json.loads(base64.b64decode(json.loads(high.receipt.read_bytes())["payload"]))
    row = body["predicate"]["artifacts"][0]
    row["place"] = row["place"].replace("/nvidia/", "/../")
    high.receipt.write_bytes(key.seal(dump_json(body)))
    assert "which no registry has" in refused(high, code=3)


def test_a_secret_is_called_as_kubernetes_can(high: High) -> None:
    high.load([CUDA])
    assert "is no name of a secret" in refused(high, "--pull-secret", "My Secret", code=2)


def test_a_format_that_was_asked_for_and_has_nothing_is_refused(high: High) -> None:
    high.load([CUDA])
    said = refused(high, "--for", "crio,triton", code=2)
    assert "--for triton: there is nothing to write" in said


def test_what_is_in_quarantine_is_told_to_nobody(high: High) -> None:
    high.load([CUDA])
    first = high.receipt
    high.load([TORCH, CUDA], more=("--quarantine", "waiting"))
    done = high.relocate(first)
    assert done.code == 0, done
    rows = json.loads(high.files()["image-map.json"])["artifacts"]
    assert [row["target"] for row in rows] == [f"{high.target}/nvidia/cuda:12.6"]
    assert f"{TORCH} lies in the quarantine waiting" in done.out
