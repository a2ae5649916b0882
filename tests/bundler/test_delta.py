"""What an export may leave out: by which receipts, of whom, and every receipt that counts not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bundle import dsse, instant
from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted, UsageError
from bundle.receipt import (
    LOADED,
    PAYLOAD_TYPE,
    SKIPPED,
    WITHHELD,
    Bundle,
    Entry,
    Receipt,
    Verified,
)
from bundle.receiptkeys import ReceiptKeys
from bundler.deltaoptions import Since
from bundler.lock import Lock
from tests import delta, factory, keys

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.artifact import Artifact
    from bundler.delta import Delta
    from bundler.lock import LockedArtifact

NOW = datetime(2027, 1, 1, tzinfo=UTC)
SPEC = Digest.of(b"spec")
BASE = Digest.of(factory.noise("base", 400_000))
WEIGHTS = Digest.of(factory.noise("weights", 300_000))


def lock(stream: str = factory.STREAM) -> Lock:
    return Lock(stream, SPEC, delta.second(factory.Contents()))


def receipt(
    locked: tuple[LockedArtifact, ...] | None = None,
    *,
    sequence: int = 1,
    stream: str = factory.STREAM,
    result: str = LOADED,
    host: str = "high",
) -> Receipt:
    """Return what a site says that imported ``locked``, by default the first bundle."""
    locked = delta.first(factory.Contents()) if locked is None else locked
    return Receipt(
        bundle=Bundle(
            f"{stream}-{sequence:06d}",
            stream,
            0,
            sequence,
            Digest.of(b"manifest %d" % sequence),
            "2027-01-01T00:00:00Z",
            "2028-01-01T00:00:00Z",
            SPEC,
            SPEC,
        ),
        verified=Verified({"alice": SPEC}, 1, 0, None, 1, 1),
        began=NOW,
        ended=NOW + timedelta(days=sequence),
        by={"host": host},
        targets=("harbor",),
        entries=tuple(placed(one.artifact, result) for one in locked),
        sizes={},
    )


def placed(artifact: Artifact, result: str = LOADED) -> Entry:
    where = ("harbor", f"harbor/{artifact.name}") if result == LOADED else ("", "")
    return Entry(artifact, result, *where)


def sealed(made: Receipt, key: str = "high") -> bytes:
    one = keys.signer(key)
    hint = str(one.public_key.fingerprint)
    return dsse.sign(PAYLOAD_TYPE, made.to_bytes(), hint, one.sign).to_bytes()


def written(folder: Path, *found: bytes) -> tuple[Path, ...]:
    paths = []
    for number, data in enumerate(found):
        paths.append(folder / f"receipt-{number}.json")
        paths[-1].write_bytes(data)
    return tuple(paths)


def pub(folder: Path, key: str = "high") -> Path:
    path = folder / f"{key}.pub"
    path.write_text(keys.signer(key).public_key.pem)
    return path


def since(folder: Path, *found: bytes, trusted: tuple[str, ...] = ("high",)) -> Delta:
    pubs = tuple(pub(folder, key) for key in trusted)
    return Since(written(folder, *found), pubs, not trusted).delta(lock())


def test_what_the_receipt_has_is_left_out_with_the_bundle_that_brought_it(tmp_path: Path) -> None:
    made = since(tmp_path, sealed(receipt()))
    assert set(made.omitted) == {BASE, WEIGHTS}
    assert {base.bundle for bases in made.omitted.values() for base in bases} == {"prod-000001"}
    assert [base.name for base in made.bases] == ["prod-000001"]


def forged() -> bytes:
    return sealed(receipt()).replace(b'"payload": "ew', b'"payload": "fw', 1)


LIES: dict[str, tuple[Callable[[], bytes], type[DrayError], str]] = {
    "forged": (forged, NotTrusted, "was changed, or signed by another key"),
    "by another key": (lambda: sealed(receipt(), "mallory"), NotTrusted, "another key than"),
    "signed by nobody": (
        lambda: dsse.Envelope(PAYLOAD_TYPE, receipt().to_bytes()).to_bytes(),
        NotTrusted,
        "is not signed",
    ),
    "truncated": (lambda: sealed(receipt())[:-100], NotTrusted, "is no receipt"),
    "empty": (lambda: b"", NotTrusted, "is no receipt"),
    "of another stream": (
        lambda: sealed(receipt(stream="test")),
        UsageError,
        "is of the stream test, and this spec's is prod",
    ),
    "of a refusal": (
        lambda: sealed(receipt(result=WITHHELD)),
        UsageError,
        "says that nothing was loaded",
    ),
    "of kinds that nobody asked for": (
        lambda: sealed(receipt(result=SKIPPED)),
        UsageError,
        "says that nothing was loaded",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_receipt_that_does_not_count_is_refused(tmp_path: Path, lie: str) -> None:
    tell, kind, message = LIES[lie]
    with pytest.raises(kind, match=message):
        since(tmp_path, tell())


def test_one_bad_receipt_among_good_ones_refuses_all(tmp_path: Path) -> None:
    with pytest.raises(NotTrusted, match=r"receipt-1\.json"):
        since(tmp_path, sealed(receipt()), forged())


def test_without_a_key_a_receipt_is_believed_only_on_demand(tmp_path: Path) -> None:
    paths = written(tmp_path, sealed(receipt()))
    with pytest.raises(UsageError, match="needs the high side's public key"):
        Since(paths, (), unsigned=False).delta(lock())
    with pytest.raises(UsageError, match="exclude each other"):
        Since(paths, (pub(tmp_path),), unsigned=True).delta(lock())
    assert set(Since(paths, (), unsigned=True).delta(lock()).omitted) == {BASE, WEIGHTS}


def test_a_receipt_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the receipt .*gone\.json"):
        Since((tmp_path / "gone.json",), (pub(tmp_path),), unsigned=False).delta(lock())


def test_what_another_kind_has_is_not_left_out(tmp_path: Path) -> None:
    """A layer that only a model's target has is of no use to the registry."""
    only_models = tuple(
        one for one in delta.first(factory.Contents()) if one.artifact.kind == "model"
    )
    assert set(since(tmp_path, sealed(receipt(only_models))).omitted) == {WEIGHTS}


def test_of_two_sites_each_has_to_have_it(tmp_path: Path) -> None:
    everything = sealed(receipt(), "one")
    images = tuple(one for one in delta.first(factory.Contents()) if one.artifact.kind == "image")
    some = sealed(receipt(images, host="other"), "two")
    made = since(tmp_path, everything, some, trusted=("one", "two"))
    assert set(made.omitted) == {BASE}
    both = since(tmp_path, everything, sealed(receipt(), "two"), trusted=("one", "two"))
    assert set(both.omitted) == {BASE, WEIGHTS}
    assert len(both.bases) == 2, "each site's receipt is named"


def test_two_hosts_that_nobody_signed_for_are_two_sites(tmp_path: Path) -> None:
    everything = sealed(receipt())
    nothing_of_models = tuple(
        one for one in delta.first(factory.Contents()) if one.artifact.kind == "image"
    )
    some = sealed(receipt(nothing_of_models, host="other"))
    assert set(since(tmp_path, everything, some, trusted=()).omitted) == {BASE}


def test_several_receipts_of_one_site_add_up(tmp_path: Path) -> None:
    first = delta.first(factory.Contents())
    images = tuple(one for one in first if one.artifact.kind == "image")
    models = tuple(one for one in first if one.artifact.kind == "model")
    made = since(tmp_path, sealed(receipt(images)), sealed(receipt(models, sequence=2)))
    assert set(made.omitted) == {BASE, WEIGHTS}
    assert {base.name for base in made.bases} == {"prod-000001", "prod-000002"}


@pytest.mark.parametrize("order", ["older first", "newer first"])
def test_what_a_newer_receipt_replaced_is_no_base_any_more(tmp_path: Path, order: str) -> None:
    """The same place holds other files since: the older receipt speaks of what is gone."""
    kept = factory.Contents()
    other = factory.model(kept, "nvidia/riva", "1.0", {"config.json": b"{}"})
    newer = receipt((other,), sequence=2)
    found = [sealed(receipt()), sealed(newer)]
    made = since(tmp_path, *(found if order == "older first" else reversed(found)))
    assert set(made.omitted) == {BASE}


def test_the_order_of_receipts_changes_nothing(tmp_path: Path) -> None:
    found = [sealed(receipt(sequence=number)) for number in (1, 2)]
    assert since(tmp_path, *found) == since(tmp_path, *reversed(found))
    assert {b.bundle for bases in since(tmp_path, *found).omitted.values() for b in bases} == {
        "prod-000002"
    }


def trust_file(folder: Path, receipts: ReceiptKeys, *, days: int = 365) -> Path:
    made = keys.trust(keys.signer("alice"), expires=instant.now() + timedelta(days=days))
    path = folder / "trust.json"
    path.write_bytes(replace(made, receipts=receipts).to_bytes())
    return path


def by_trust(folder: Path, receipts: ReceiptKeys, *found: bytes, days: int = 365) -> Delta:
    place = trust_file(folder, receipts, days=days)
    return Since(written(folder, *found), (), unsigned=False).delta(lock(), place)


def high(*names: str, site: str = "") -> ReceiptKeys:
    found = {name: keys.signer(name).public_key for name in names}
    return ReceiptKeys(found, dict.fromkeys(names, site) if site else {})


def test_the_trust_file_says_whose_receipts_count(tmp_path: Path) -> None:
    assert set(by_trust(tmp_path, high("high"), sealed(receipt())).omitted) == {BASE, WEIGHTS}
    with pytest.raises(NotTrusted, match="another key than other"):
        by_trust(tmp_path, high("other"), sealed(receipt()))


def test_a_key_that_signs_bundles_signs_no_receipt_that_counts(tmp_path: Path) -> None:
    with pytest.raises(NotTrusted, match="another key than high"):
        by_trust(tmp_path, high("high"), sealed(receipt(), "alice"))


def test_a_trust_file_without_keys_for_receipts_or_past_its_end_is_no_help(tmp_path: Path) -> None:
    with pytest.raises(NotTrusted, match="names no key that signs receipts"):
        by_trust(tmp_path, ReceiptKeys(), sealed(receipt()))
    with pytest.raises(NotTrusted, match="expired"):
        by_trust(tmp_path, high("high"), sealed(receipt()), days=-1)


def test_two_keys_of_one_site_are_one_site_while_one_replaces_the_other(tmp_path: Path) -> None:
    first = delta.first(factory.Contents())
    images = tuple(one for one in first if one.artifact.kind == "image")
    models = tuple(one for one in first if one.artifact.kind == "model")
    found = (sealed(receipt(images), "old"), sealed(receipt(models, sequence=2), "new"))
    made = by_trust(tmp_path, high("old", "new", site="berlin"), *found)
    assert set(made.omitted) == {BASE, WEIGHTS}
    assert not by_trust(tmp_path, high("old", "new"), *found).omitted
