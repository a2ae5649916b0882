"""Out of the quarantine: what passes, what does not, and what is written down about it."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from bundle import instant
from bundle.artifact import SIGNATURE
from bundle.receipt import Signed, unproved
from importer.ledger.book import Ledger
from importer.receipts import shelf
from importer.relocate.evidence import gather
from importer.targets.folder import Folder
from tests import factory
from tests.importer.promote.making import (
    CRITICAL,
    CUDA,
    LOW,
    MODEL,
    TORCH,
    Site,
    build,
    carrying,
)
from tests.refusals.table import snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.receipt import Receipt
    from bundler.lock import LockedArtifact
    from tests.factory import Contents


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A bundle whose first image has a critical finding."""
    return Site(tmp_path, build(tmp_path, CRITICAL, LOW))


@pytest.fixture
def clean(tmp_path: Path) -> Site:
    """A bundle that passes."""
    return Site(tmp_path, build(tmp_path, LOW))


def last() -> Receipt:
    path = shelf.listed()[-1]
    return unproved(path.read_bytes(), what=str(path)).receipt


def names(site: Site) -> list[str]:
    index = json.loads((site.folder / "warehouse/oci/index.json").read_text())
    key = "org.opencontainers.image.ref.name"
    return sorted(row["annotations"][key] for row in index["manifests"] if "annotations" in row)


def test_what_passes_goes_where_it_is_used_and_the_receipt_says_by_which_gates(
    clean: Site,
) -> None:
    clean.load()
    assert names(clean) == ["hold/nvidia/cuda:12.6", "hold/nvidia/pytorch:24.12"]
    clean.policy()
    done = clean.promote()
    assert f"promoted {CUDA} -> oci:warehouse/oci:nvidia/cuda:12.6" in done.out
    assert "3 artifacts promoted" in done.out
    assert {"nvidia/cuda:12.6", "nvidia/pytorch:24.12"} < set(names(clean))
    assert (clean.folder / "warehouse/models/nvidia/riva/1.0/config.json").is_file()
    made = last()
    assert made.complete
    assert made.promotion
    assert {one.artifact: one.is_refused for one in made.promotion.rulings} == {
        CUDA: False,
        TORCH: False,
        MODEL: False,
    }
    severity = made.promotion.rulings[0].checks[1]
    assert severity.summary == "1 found, 0 above high"
    assert severity.evidence[0].startswith("Trivy 0.58.1")
    assert next(one.place for one in made.held) == "oci:warehouse/oci:nvidia/cuda:12.6"
    assert clean.kinds()[-3:] == ["promote-begun", "receipt", "promote-done"]


def test_a_model_s_signature_lies_beside_it_and_comes_along(tmp_path: Path) -> None:
    def model(kept: Contents) -> tuple[LockedArtifact, ...]:
        return (carrying(kept, factory.sample(kept)[2], {"of": "its publisher"}, form=SIGNATURE),)

    site = Site(tmp_path, factory.build(tmp_path, model))
    site.load()
    site.policy()
    assert "1 artifact promoted" in site.promote().out
    beside = tmp_path / "warehouse/models/nvidia/riva/1.0.sigstore"
    assert json.loads(beside.read_bytes()) == {"of": "its publisher"}


def test_one_finding_refuses_all_and_everything_is_named(site: Site) -> None:
    site.load()
    site.policy()
    before = snapshot(site.folder / "warehouse")
    done = site.promote(code=7)
    assert "REFUSED  nvcr.io/nvidia/cuda:12.6" in done.out
    assert f"passed  {TORCH}" in done.out
    assert "1 of 3 artifacts do not pass policy.yaml" in done.err
    assert (
        "severity: CVE-2026-10001 critical openssl 3.0.1 (fixed in 3.0.2), says trivy" in done.err
    )
    assert snapshot(site.folder / "warehouse") == before
    assert last().outcome == "refused"
    assert site.kinds()[-2:] == ["refused", "receipt"]
    site.policy("max-severity: none")
    for finding in ("CVE-2026-10001 critical", "CVE-2026-10002 low"):
        assert site.promote(code=7).err.count(f"severity: {finding}") >= 1


def test_an_image_without_a_report_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path, factory.build(tmp_path / "media"))
    site.load()
    site.policy()
    assert site.promote(code=7).err.count("severity: no report") == 2
    site.policy("max-severity: high\nreports: {optional: ['*']}")
    site.promote()


def test_with_a_clock_set_back_nothing_leaves_the_quarantine(clean: Site) -> None:
    clean.load()
    clean.policy()
    later = instant.now() + timedelta(days=3)
    with mock.patch.object(instant, "now", lambda: later):
        Ledger.open().append("note")
    assert "what has expired would pass" in clean.promote(code=5).err
    assert "nvidia/cuda:12.6" not in names(clean)


def test_what_passes_alone_may_go_alone(site: Site) -> None:
    site.load()
    site.policy()
    done = site.promote("--match", "*/pytorch", "--match", MODEL)
    assert "2 artifacts promoted" in done.out
    assert "nvidia/cuda:12.6" not in names(site)
    assert {one.artifact.name: one.result for one in last().entries} == {
        CUDA: "skipped",
        TORCH: "loaded",
        MODEL: "loaded",
    }
    assert "nothing there is called nothing" in site.promote("--match", "nothing", code=2).err


def test_what_the_gates_refuse_goes_on_for_a_reason_that_is_on_record(site: Site) -> None:
    site.load()
    site.policy()
    done = site.promote("--override", "not reachable here, ticket 4711")
    assert "gates were overridden: not reachable here, ticket 4711" in done.err
    made = last()
    assert made.overrides == {"gate": "not reachable here, ticket 4711"}
    assert made.promotion
    assert made.promotion.overridden == "not reachable here, ticket 4711"
    assert [one.artifact for one in made.promotion.refused] == [CUDA]
    assert site.kinds()[-4:] == ["override", "promote-begun", "receipt", "promote-done"]


def test_an_override_that_nothing_needs_is_not_on_record(clean: Site) -> None:
    clean.load()
    clean.policy()
    clean.promote("--override", "just in case")
    assert not last().overrides
    assert "override" not in clean.kinds()


def test_an_allowed_finding_is_let_through_and_noted(site: Site) -> None:
    site.load()
    entry = "{id: CVE-2026-10001, until: 2099-01-31, reason: not reachable}"
    idle = "{id: CVE-2020-1, until: 2099-01-31, reason: of old}"
    site.policy(f"max-severity: high\nallow: [{entry}, {idle}]")
    done = site.promote()
    assert "let through: CVE-2026-10001 critical openssl 3.0.1" in done.out
    assert "note: allow: CVE-2020-1: nothing needed it" in done.out
    made = last().promotion
    assert made
    assert made.rulings[0].checks[1].excused[0].reason == "not reachable"
    assert made.idle == ("allow: CVE-2020-1",)


def test_a_second_run_finds_everything_there(clean: Site) -> None:
    clean.load()
    clean.policy()
    clean.promote()
    before = names(clean)
    done = clean.promote()
    assert f"there already {CUDA}" in done.out
    assert names(clean) == before
    assert {one.result for one in last().entries} == {"present"}


def test_killed_between_two_names_the_next_run_goes_on(clean: Site) -> None:
    """The process dies after the first name was set, and before anything is on record."""
    clean.load()
    clean.policy()
    child = os.fork()
    if not child:
        publish, calls = Folder.publish, []

        def die(self: Folder, *given: Any) -> bool:
            calls.append(given)
            return publish(self, *given) if len(calls) == 1 else os._exit(9)

        with mock.patch.object(Folder, "publish", die):
            clean.promote()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert "nvidia/cuda:12.6" in names(clean)
    assert "nvidia/pytorch:24.12" not in names(clean)
    assert clean.kinds()[-1] == "promote-begun"
    done = clean.promote()
    assert f"there already {CUDA}" in done.out
    assert f"promoted {TORCH}" in done.out
    assert {"nvidia/cuda:12.6", "nvidia/pytorch:24.12"} < set(names(clean))
    assert last().complete


def test_nothing_is_led_into_a_quarantine(clean: Site) -> None:
    clean.load()
    held = [one for one in last().entries if one.quarantine]
    assert len(held) == 3
    receipt = last()
    signed = Signed(receipt, receipt.bundle.manifest, None, is_signed=False)
    found = gather([signed], ())
    assert not found.stored
    assert not found.trees
    assert all("lies in the quarantine hold" in text for text in found.left)


def test_a_plan_says_all_and_changes_nothing(site: Site, isolated: Path) -> None:
    site.load()
    site.policy()
    before = snapshot(site.folder), snapshot(isolated)
    done = site.promote("--plan")
    assert "would be refused" in done.out
    assert (
        "oci:warehouse/oci:hold/nvidia/cuda:12.6 -> oci:warehouse/oci:nvidia/cuda:12.6" in done.out
    )
    body = json.loads(site.promote("--plan", "--json").out)
    assert body["refused"] is True
    assert [row["result"] for row in body["artifacts"]] == ["fail", "pass", "pass"]
    assert body["artifacts"][2]["copy"] > 40_000
    assert (snapshot(site.folder), snapshot(isolated)) == before


def test_what_was_changed_in_the_quarantine_is_not_promoted(clean: Site) -> None:
    clean.load()
    clean.policy()
    path = clean.folder / "warehouse/hold/models/nvidia/riva/1.0/config.json"
    path.write_bytes(b"{ }")
    done = clean.promote(code=6)
    assert "is not whole any more: config.json is not there" in done.err
    assert "promote-begun" not in clean.kinds()
    assert not (clean.folder / "warehouse/models").exists()


def test_another_target_than_that_of_the_import_is_refused(clean: Site) -> None:
    clean.load()
    clean.policy()
    clean.to = "elsewhere"
    assert "was imported to oci:warehouse/oci:hold/nvidia/cuda:12.6" in clean.promote(code=2).err


def test_without_an_import_into_a_quarantine_there_is_nothing_to_promote(clean: Site) -> None:
    clean.policy()
    assert "no import into a quarantine is on record" in clean.promote(code=2).err
    clean.quarantine = ""
    clean.load()
    assert "no import into a quarantine is on record" in clean.promote(code=2).err
    path = str(shelf.listed()[-1])
    assert "lies in a quarantine" in clean.promote(path, code=2).err


def test_a_receipt_that_nobody_vouches_for_promotes_nothing(clean: Site) -> None:
    clean.load()
    clean.policy()
    forged = clean.folder / "forged.json"
    forged.write_bytes(shelf.listed()[-1].read_bytes() + b" ")
    done = clean.promote(str(forged), code=5)
    assert "is no receipt that this host's ledger names" in done.err
    clean.promote(str(shelf.listed()[-1]))


def test_a_policy_that_asks_nothing_promotes_nothing(clean: Site) -> None:
    clean.load()
    clean.policy("signing-keys: []")
    assert "the policy requires nothing" in clean.promote(code=2).err


def test_json_has_every_reason_and_the_error(site: Site) -> None:
    site.load()
    site.policy()
    body = json.loads(site.promote("--json", code=7).out)
    assert body["error"]["exitCode"] == 7
    assert body["artifacts"][0]["gates"][1]["faults"]
    assert body["receipt"]["file"].endswith("receipt-0002.json")
