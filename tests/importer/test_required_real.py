"""Deltas into real stores: a registry that mounts, a bucket whose objects are read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import delta
from tests.refusals.table import dray
from tests.servers import rclone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.registry import Registry


@pytest.mark.server
def test_a_delta_goes_into_a_registry_and_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry
) -> None:
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "s3").mkdir()
    with rclone.serve(tmp_path / "s3") as store:
        (tmp_path / "s3" / "data" / "models").mkdir()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", store.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.secret_key)
        target = tmp_path / "target.yaml"
        target.write_text(
            "apiVersion: dray/v1\ntargets:\n"
            f'  - {{to: "registry://{registry.host}/delta"}}\n'
            f'  - {{to: "s3://models", endpoint: "{store.endpoint}"}}\n'
        )
        one = delta.whole(tmp_path / "one")
        common = ("--to", target, "--trust", one.trust)
        done = dray("import", one.folder, *common, "--receipt", "r.json", folder=tmp_path)
        assert done.code == 0, done
        two = delta.since(tmp_path / "two", tmp_path / "r.json")
        common = ("--to", target, "--trust", two.trust)
        done = dray("import", two.folder, *common, folder=tmp_path)
        assert done.code == 0, done
        objects = tmp_path / "s3" / "data" / "models" / "models" / "nvidia" / "riva"
        new, old = objects / "1.1" / "sub" / "model.bin", objects / "1.0" / "model.bin"
        assert new.read_bytes() == old.read_bytes()
        new.write_bytes(bytes(new.stat().st_size))  # somebody spoils it
        done = dray("import", two.folder, *common, folder=tmp_path)
        assert (done.code, new.read_bytes()) == (0, old.read_bytes()), done
