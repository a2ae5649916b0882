"""``dray policy``: what the high side gets says the same, with keys that are pinned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bundle.upstream import policy as policies
from bundle.upstream.check import load_keys
from bundle.upstream.policy import Policy, Rule
from bundler import policykit
from fixtures import charts, signatures
from fixtures.openpgp import PgpKey
from tests.bundle.gate.made import gates
from tests.bundle.upstream.made import raw, ring
from tests.bundler.test_signedby import CHARTS, CUDA, PINNED, LowSide, desk, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.ngc import Catalogue

__all__ = ["desk"]


def test_the_policy_and_its_keys_are_written_once(desk: LowSide) -> None:
    desk.spec(CUDA, keys=f"{PINNED}, {CHARTS}", rules="{match: 'nvcr.io/*', keys: [containers]}")
    done = desk.desk.dray("policy", "dray.yaml", "--to", "high")
    assert f"containers  {fingerprint('ngc-containers')}" in done.out
    folder = desk.desk.folder / "high"
    assert sorted(path.name for path in folder.iterdir()) == [
        "charts.asc",
        "containers.pub",
        "policy.yaml",
    ]
    pem = signatures.public_pem(signatures.signing_key("ngc-containers"))
    assert (folder / "containers.pub").read_bytes() == pem
    read = policies.load(folder / "policy.yaml")
    assert read.rules == (Rule("nvcr.io/*", ("containers",)),)
    assert [key.fingerprint for key in read.keys] == [
        fingerprint("ngc-containers"),
        f"openpgp:{charts.PUBLISHER.fingerprint}",
    ]
    assert set(load_keys(read)) == {"containers", "charts"}
    again = desk.desk.dray("policy", "dray.yaml", "--to", "high", code=2)
    assert "is there already" in again.err


def test_a_key_that_is_not_the_pinned_one_is_not_handed_on(
    desk: LowSide, catalogue: Catalogue
) -> None:
    catalogue.public_keys["containers"] = signatures.public_pem(signatures.signing_key("evil"))
    desk.spec(CUDA)
    done = desk.desk.dray("policy", "dray.yaml", "--to", "high", code=2)
    assert f"not {fingerprint('ngc-containers')}" in done.err
    assert not (desk.desk.folder / "high").exists()


def test_a_spec_without_a_policy_has_none_to_hand_on(desk: LowSide) -> None:
    desk.spec(CUDA, keys="", rules="")
    assert (
        "requires no signatures" in desk.desk.dray("policy", "dray.yaml", "--to", "x", code=2).err
    )


def test_the_gates_are_handed_on_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "nvidia.json").write_text("{}")
    said = gates(
        """
max-severity: [{match: 'nvcr.io/*', severity: high, fixable-only: true}, {severity: low}]
unknown-severity: medium
reports: {max-age: 7d, optional: [x], scanners: [Trivy]}
allow: [{id: CVE-2026-1, until: 2027-01-31, reason: "naïve: 'quoted' # no", package: openssl}]
vex: [{file: nvidia.json}, {carried: 'nvcr.io/nvidia/*'}]
licenses: [{allow: [MIT, "BSD-*"], unknown: pass}, {match: x, deny: ["AGPL-*"]}]
""",
        tmp_path,
    )
    policykit.write(tmp_path / "high", Policy(gates=said), {})
    read = policies.load(tmp_path / "high/policy.yaml").gates
    assert (tmp_path / "high/nvidia.json").read_text() == "{}"
    assert read.vex[0].file == tmp_path / "high/nvidia.json"
    assert replace(read, vex=said.vex) == said
    assert read.licenses[1].unknown_passes


def test_odd_patterns_and_keyrings_of_several_keys_read_back(tmp_path: Path) -> None:
    rules = (Rule('a"b\\c'), Rule("*", ("charts",)), Rule("#!'&{}[]"))
    policy = Policy(rules=rules)
    both = ring("charts", charts.PUBLISHER), ring("two", PgpKey("two"))
    merged = type(both[0])("charts", both[0].certificates + both[1].certificates)
    policykit.write(tmp_path / "p", policy, {"vendor": raw(), "charts": merged})
    read = policies.load(tmp_path / "p/policy.yaml")
    assert read.rules == rules
    keys = load_keys(read)
    assert keys["vendor"] == raw()
    assert keys["charts"].fingerprints == merged.fingerprints
