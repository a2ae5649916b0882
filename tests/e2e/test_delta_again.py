"""A delta's chunks are made again and co-signed by its manifest and lock, like any other's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fixtures.content import Generated, blob
from tests.e2e.desk import chunks

if TYPE_CHECKING:
    from pathlib import Path

    from fixtures.ngc import EmulatedNgc
    from tests.e2e.desk import Desk
    from tests.e2e.upstream import Upstream

pytestmark = pytest.mark.server


def mib(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.tar"))


def test_the_next_drive_is_a_tenth_and_can_be_made_again(
    desk: Desk, upstream: Upstream, ngc: EmulatedNgc, tmp_path: Path
) -> None:
    """An image whose top layer changed, and a model of several files of which one changed."""
    layers = [upstream.layer(f"layer {number}", 3_000_000) for number in range(4)]
    upstream.image("app", 500_000, shared=layers)
    shards = {f"model-{n}.bin": blob(Generated(f"shard {n}", 4_000_000)) for n in range(5)}
    head = {"config.json": blob(Generated("config 1", 2_000))}
    ngc.catalogue.add_files("models", "nvidia/big", "1", shards | head)
    wanted = {"models": [{"ngc": "nvidia/big:1"}], "registries": ngc.registries}
    desk.lock(upstream.name("app:1.0"), **wanted)
    desk.export(tmp_path / "one")
    desk.dray("receipt", "keygen", "config", "--no-passphrase")
    more = ("--receipt", "receipt.json", "--receipt-key", "config/receipt.key")
    desk.load(tmp_path / "one", tmp_path / "warehouse", options=more)

    upstream.image("app", 550_000, tag="1.1", shared=layers)
    lora = {"adapter.bin": blob(Generated("adapter", 1_500_000))}
    ngc.catalogue.add_files("models", "nvidia/big", "2", shards | lora | head)
    wanted["models"] = [{"ngc": "nvidia/big:2"}]
    desk.lock(upstream.name("app:1.1"), **wanted)
    desk.export(tmp_path / "two", "--since", "receipt.json", "--receipt-pub", "config/receipt.pub")
    first, second = mib(tmp_path / "one"), mib(tmp_path / "two")
    assert second * 10 < first, f"{first} bytes, then {second}"
    [folder] = (tmp_path / "two").iterdir()

    done = desk.dray(
        *("export", "dray.yaml", "--chunks", f"1-{len(chunks(folder))}", "--of", folder),
        *("--to", tmp_path / "again", "--trust", "trust.json"),
    )
    assert "as it was signed" in done.out
    assert chunks(tmp_path / "again") == chunks(folder)

    desk.dray("keygen", "bob", "--name", "bob", "--no-passphrase")
    more = ("--key", "bob/bob.key", "--trust", "trust.json")
    done = desk.dray("export", "dray.yaml", "--cosign-of", folder, *more)
    assert list(folder.glob("*.bob.sigstore.json")), done
    desk.load(tmp_path / "two", tmp_path / "warehouse")
