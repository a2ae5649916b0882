"""Policies: which rule is about what, all that is missing told at once, keys pinned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle.errors import SourceError, UsageError
from bundle.upstream import policy as policies
from bundle.upstream.check import Checker, Verdict, load_keys, refusal
from bundle.upstream.policy import KeyEntry, Policy, Rule
from bundle.upstream.record import Proof, Record
from bundle.upstream.show import spelt
from fixtures import charts, signatures
from fixtures.content import blob
from fixtures.signatures import SIGSTORE, signature
from tests.bundle.upstream.made import (
    OTHER,
    VENDOR,
    Made,
    image,
    model,
    raw,
    refers,
    ring,
    tagged,
)

if TYPE_CHECKING:
    from bundle.artifact import Artifact, Content
    from bundle.upstream.keys import RawKey
    from bundle.upstream.openpgp import Keyring

KEYS: dict[str, RawKey | Keyring] = {
    "vendor": raw(),
    "other": raw("other", OTHER),
    "charts": ring(),
}


def signed(key: Any = VENDOR) -> tuple[Made, Artifact]:
    made, graph, root = image()
    if key:
        tagged(made, graph, signature(graph, "x", key))
    return made, made.artifact(root)


def verdict(key: Any, *rules: Rule) -> Verdict:
    made, artifact = signed(key)
    policy = Policy(rules=rules)
    return Checker(policy, KEYS, lambda _artifact, content: made.read(content)).check(artifact)


@pytest.mark.parametrize(
    ("pattern", "takes"),
    [
        ("nvcr.io/nvidia/*", True),
        ("nvcr.io/*", True),
        ("*", True),
        ("nvcr.io/nvidia/a", True),
        ("nvcr.io/nvidia/a:1", True),
        ("nvcr.io/nvidia/a:2", False),
        ("nvcr.io/nvidia", False),
        ("nvcrXio/nvidia/*", False),
        ("nvcr.io/nvidia/.*", False),
        ("*/a", True),
        ("[a]", False),
    ],
)
def test_a_pattern_is_about_names_and_repositories(pattern: str, takes: bool) -> None:
    _, artifact = signed()
    assert Rule(pattern).takes(artifact) is takes


def test_what_is_signed_as_required_is_verified() -> None:
    found = verdict(VENDOR, Rule("*"))
    assert (found.required, found.faults, found.record.result) == (True, (), "verified")
    assert [proof.key for proof in found.record.proofs] == ["vendor"]


def test_a_rule_lets_only_its_keys_count() -> None:
    found = verdict(VENDOR, Rule("*", ("other",)))
    assert found.record == Record("unchecked")
    assert found.faults == ("its .sig tag is made by another key than other, or is damaged",)


def test_all_rules_about_an_artifact_must_hold() -> None:
    found = verdict(VENDOR, Rule("*"), Rule("nvcr.io/*", ("other",)))
    assert found.faults
    assert found.record.result == "verified"  # by one; the artifact is refused all the same
    assert not verdict(VENDOR, Rule("*"), Rule("*", ("vendor", "other"))).faults


def test_what_no_rule_is_about_is_not_required_to_be_signed() -> None:
    elsewhere = Rule("other.example/*")
    assert verdict(VENDOR, elsewhere).record == Record("unchecked")
    assert verdict(None, elsewhere).record == Record("unsigned")
    assert not verdict(None, elsewhere).required


def test_a_keyring_is_no_key_for_an_image() -> None:
    assert "another key than charts" in verdict(VENDOR, Rule("*", ("charts",))).faults[0]


def test_the_refusal_names_each_artifact_and_every_reason() -> None:
    good = verdict(VENDOR, Rule("*"))
    assert refusal([good], "dray.yaml") is None
    bad = [verdict(None, Rule("*")), verdict(OTHER, Rule("*", ("vendor",)))]
    found = refusal([good, *bad], "dray.yaml")
    assert found is not None
    assert found.exit_code == 7
    assert found.message.startswith("2 of 3 artifacts are not signed as dray.yaml requires:\n")
    assert "unsigned: its publisher has no signature of it" in found.message
    assert "made by another key than vendor" in found.message


def test_a_model_whose_list_cannot_be_compared_is_named_with_what_to_do() -> None:
    files = {"big.bin": b"x" * 150}
    made, root = model(files)
    listed = {path: blob(data) for path, data in files.items()}
    refers(made, root, SIGSTORE, signatures.model_signature(listed, "a", VENDOR, shard=100).read())
    artifact = made.artifact(root)
    checker = Checker(Policy(rules=(Rule("*"),)), KEYS, lambda _artifact, one: made.read(one))
    found = refusal([checker.check(artifact)], "dray.yaml")
    assert found is not None
    for said in (artifact.name, "signs big.bin in 2 shards of 100 bytes", "leave it out of requ"):
        assert said in found.message


def test_what_cannot_be_read_is_no_verdict() -> None:
    _, artifact = signed()

    def fails(_artifact: Artifact, _content: Content) -> bytes:
        raise SourceError("the registry is away")

    with pytest.raises(SourceError):
        Checker(Policy(rules=(Rule("*"),)), KEYS, fails).check(artifact)


def test_patterns_that_match_nothing_are_told() -> None:
    _, artifact = signed()
    policy = Policy(rules=(Rule("nvcr.io/*"), Rule("nvrc.io/*")))
    assert policy.idle([artifact]) == ["nvrc.io/*"]


# -- keys -----------------------------------------------------------------------------------------


def entry(folder: Path, **more: Any) -> KeyEntry:
    path = folder / "vendor.pub"
    path.write_bytes(signatures.public_pem(VENDOR))
    return KeyEntry("vendor", file=path, where="dray.yaml:7:5", **more)


def test_a_key_of_another_fingerprint_is_never_used(tmp_path: Path) -> None:
    good = entry(tmp_path, fingerprint=raw().fingerprint)
    assert load_keys(Policy((good,)))["vendor"] == raw()
    with pytest.raises(UsageError, match=r"dray\.yaml:7:5: the key vendor has the fingerprint"):
        load_keys(Policy((entry(tmp_path, fingerprint="sha256:" + "0" * 64),)))


def test_a_key_from_ngc_must_be_pinned(tmp_path: Path) -> None:
    pem = signatures.public_pem(VENDOR)
    for pinned in ("", raw().fingerprint):
        entry_ = KeyEntry("vendor", ngc="containers", fingerprint=pinned, where="d:1:1")
        if pinned:
            assert load_keys(Policy((entry_,)), lambda _entry: pem)["vendor"] == raw()
            with pytest.raises(UsageError, match="NGC, which is not asked here"):
                load_keys(Policy((entry_,)))
        else:
            with pytest.raises(UsageError, match="is not pinned: NGC gives") as caught:
                load_keys(Policy((entry_,)), lambda _entry: pem)
            assert raw().fingerprint in caught.value.hint


# -- policy files ---------------------------------------------------------------------------------

HEAD = "apiVersion: dray/v1\nkind: Policy\n"


def load(folder: Path, text: str) -> Policy:
    (folder / "charts.asc").write_bytes(charts.PUBLISHER.armored)
    entry(folder)
    path = folder / "policy.yaml"
    path.write_text(HEAD + text)
    return policies.load(path)


def test_a_policy_file_is_read_beside_its_keys(tmp_path: Path) -> None:
    spaced = " ".join(charts.PUBLISHER.fingerprint[at : at + 4].upper() for at in range(0, 40, 4))
    found = load(
        tmp_path,
        "signing-keys:\n"
        "  - {name: vendor, file: vendor.pub}\n"
        f"  - {{name: charts, pgp: charts.asc, fingerprint: {spaced}}}\n"
        "require-signature: ['nvcr.io/*', {match: 'charts.example/*', keys: [charts]}]\n",
    )
    assert found.rules == (Rule("nvcr.io/*"), Rule("charts.example/*", ("charts",)))
    assert found.keys[1].fingerprint == f"openpgp:{charts.PUBLISHER.fingerprint}"
    assert set(load_keys(found)) == {"vendor", "charts"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the policy requires nothing"),
        ("require-signature: []\n", "the policy requires nothing"),
        ("require-signature: ['*']\n", "has no keys to check with"),
        ("stream: s\n", "is not a known key"),
        ("signing-keys: [{name: A, file: vendor.pub}]\n", "is not allowed"),
        ("signing-keys: [{name: a, file: no.pub}]\n", "there is no file"),
        ("signing-keys: [{name: a, pgp: vendor.pub, fingerprint: abcd}]\n", "not one of a key"),
    ],
)
def test_a_policy_file_that_would_not_be_enforced_is_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        load(tmp_path, text)


def test_a_spec_is_no_policy(tmp_path: Path) -> None:
    path = tmp_path / "dray.yaml"
    path.write_text("apiVersion: dray/v1\nstream: s\n")
    with pytest.raises(UsageError, match="'kind' is missing"):
        policies.load(path)
    with pytest.raises(UsageError, match="cannot read"):
        policies.load(Path("nowhere.yaml"))


def test_records_in_words() -> None:
    _, artifact = signed()
    assert spelt(artifact, None) == []
    assert spelt(artifact, Record("unsigned")) == ["unsigned upstream"]
    fingerprint = "sha256:" + "0" * 64
    own = Proof("cosign", "vendor", fingerprint, artifact.root)
    index = Proof("cosign", "vendor", fingerprint, artifact.contents[0].digest)
    lines = spelt(artifact, Record("verified", (own, index)))
    assert lines[0] == "signed by vendor (sha256:0000000000000000, cosign)"
    assert f"cosign, by its index {index.over[:19]})" in lines[1]
