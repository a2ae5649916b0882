"""Out of a Harbor's quarantine: scanned there, copied there, tags last; emulated or a real one."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from bundle.registry import Registry
from tests import factory
from tests.importer.promote.making import CRITICAL, CUDA, LOW, Site, carrying, report
from tests.servers.tokens import basic

if TYPE_CHECKING:
    from bundler.lock import LockedArtifact
    from fixtures.harbor.world import Artifact as There
    from fixtures.harbor.world import World
    from tests.factory import Contents
    from tests.servers.harbor import HarborServer

pytestmark = pytest.mark.server
ROW = {"id": "CVE-2026-10001", "package": "openssl", "version": "3.0.1", "severity": "Critical"}
GATES = "max-severity: high"


@dataclass
class Yard:
    """A site with a Harbor: the project where things are used, and the quarantine."""

    site: Site
    harbor: HarborServer
    project: str
    hold: str

    @property
    def world(self) -> World:
        return self.harbor.emulated.world

    @property
    def root(self) -> str:
        return str(self.site.bundle.manifest.artifacts[0].root)

    @property
    def there(self) -> There:
        """The image in the quarantine, as the emulator has it."""
        repository = f"{self.project}/nvidia/cuda"
        return self.world.projects[self.hold].repositories[repository].artifacts[self.root]

    def tag(self) -> str | None:
        """Return what the image's tag is where it is used."""
        found = self.harbor.client().artifacts.get(f"{self.project}/nvidia/cuda", "12.6")
        return str(found.digest) if found else None

    def target(self, **more: Any) -> None:
        """Write the target file."""
        to = f"harbor://{self.harbor.host}/{self.project}"
        entry = {"to": to, "ca": self.harbor.ca, "quarantine": self.hold, **more}
        body = {"apiVersion": "dray/v1", "targets": [entry]}
        (self.site.folder / "target.yaml").write_text(json.dumps(body))


@pytest.fixture
def yard(tmp_path: Path, harbor: HarborServer) -> Yard:
    def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
        image = factory.sample(kept, seed=str(tmp_path))[0]
        return (carrying(kept, image, {"something": str(tmp_path)}),)

    site = Site(tmp_path, factory.build(tmp_path / "media", artifacts), "target.yaml", "")
    made = Yard(site, harbor, harbor.project(), harbor.project())
    login = harbor.robot([made.project, made.hold], scans=True)
    config = Path(os.environ["DOCKER_CONFIG"]) / "config.json"
    config.parent.mkdir(parents=True, exist_ok=True)
    auth = {"auth": basic(login.username, login.password)}
    config.write_text(json.dumps({"auths": {harbor.host: auth}}))
    made.target()
    site.policy(GATES)
    return made


def test_a_scan_is_begun_and_what_passes_is_copied_by_digest_with_its_referrers(
    yard: Yard,
) -> None:
    yard.harbor.emulated  # noqa: B018  (a real Harbor's scanner finds what it finds)
    done = yard.site.load()
    assert f"-> {yard.harbor.host}/{yard.hold}/{yard.project}/nvidia/cuda:12.6" in done.out
    assert yard.tag() is None
    plan = yard.site.promote("--plan")
    assert "a scan would be begun" in plan.out
    assert not yard.there.scan
    before = len(yard.harbor.emulated.requests)
    done = yard.site.promote()
    assert "0 found, 0 above high (Trivy v0.58.1" in done.out
    assert yard.tag() == yard.root
    asked = yard.harbor.emulated.requests[before:]
    mounts = [one for one in asked if one.method == "POST" and "mount=" in one.path]
    assert mounts
    assert not [one for one in asked if one.method == "PATCH"]
    puts = [one.path for one in asked if one.method == "PUT" and "/manifests/" in one.path]
    puts = [path for path in puts if "/dray/ledger/" not in path]
    assert puts[-1].endswith("/manifests/12.6")
    assert all("/manifests/sha256:" in path for path in puts[:-1])
    registry = Registry(yard.harbor.host, yard.harbor.http(), yard.harbor.admin)
    (refers,) = registry.referrers(f"{yard.project}/nvidia/cuda", Digest(yard.root))
    assert refers.digest in {c.digest for c in yard.site.bundle.manifest.artifacts[0].contents}
    assert f"there already {CUDA}" in yard.site.promote().out


def test_what_the_scanner_finds_is_refused(yard: Yard) -> None:
    yard.world.reports[yard.root] = [{**ROW, "fix_version": "3.0.2"}]
    yard.site.load()
    done = yard.site.promote(code=7)
    assert "CVE-2026-10001 critical openssl 3.0.1 (fixed in 3.0.2), says trivy" in done.err
    assert yard.tag() is None
    yard.world.reports.clear()
    yard.site.promote("--rescan")
    assert yard.tag() == yard.root


def test_an_old_report_is_made_anew(yard: Yard) -> None:
    yard.site.load()
    yard.site.policy(f"{GATES}\nreports: {{max-age: 1d}}")
    yard.site.promote()
    yard.there.scanned = time.time() - 3 * 86400
    yard.world.reports[yard.root] = [ROW]
    yard.there.scan = "Success"
    assert "CVE-2026-10001" in yard.site.promote(code=7).err


@pytest.mark.parametrize(
    ("ends", "says"),
    [("Error", "ended with Error"), ("Stopped", "ended with Stopped")],
)
def test_a_scan_that_fails_refuses(yard: Yard, ends: str, says: str) -> None:
    yard.world.scan_ends[yard.root] = ends
    yard.site.load()
    done = yard.site.promote(code=7)
    assert says in done.err
    assert "no report about linux/amd64" in done.err or "no report" in done.err


def test_without_a_scanner_what_is_carried_counts(tmp_path: Path, yard: Yard) -> None:
    yard.world.has_scanner = False
    yard.site.load()
    done = yard.site.promote(code=7)
    assert "severity: no report" in done.err
    assert "has no scanner" in done.err
    assert "set a default scanner" in done.err
    assert "no scanner" not in yard.site.promote("--no-scan", code=7).err

    def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
        image = factory.sample(kept, seed=f"{tmp_path} carried")[0]
        return (carrying(kept, image, report(image, LOW)),)

    yard.site.bundle = factory.build(tmp_path / "more", artifacts, sequence=2)
    yard.site.load()
    yard.site.promote()
    assert yard.tag() == yard.root


def test_a_carried_report_refuses_what_harbor_lets_through(tmp_path: Path, yard: Yard) -> None:
    yard.harbor.emulated  # noqa: B018  (what a real scanner says would be another matter)

    def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
        image = factory.sample(kept, seed=f"{tmp_path} carried")[0]
        return (carrying(kept, image, report(image, CRITICAL)),)

    yard.site.bundle = factory.build(tmp_path / "more", artifacts)
    yard.site.load()
    assert "CVE-2026-10001" in yard.site.promote(code=7).err


def test_a_tag_that_may_not_be_moved_is_found_before_anything_is_copied(
    tmp_path: Path, yard: Yard
) -> None:
    yard.site.policy("licenses: [{deny: [AGPL-*]}]")
    yard.site.load()
    yard.site.promote()
    selector = {"kind": "doublestar", "decoration": "matches", "pattern": "**"}
    scope = {"repository": [{**selector, "decoration": "repoMatches"}]}
    rule = {"action": "immutable", "template": "immutable_template", "priority": 0}
    rule |= {"disabled": False, "scope_selectors": scope, "tag_selectors": [selector]}
    path = f"/projects/{yard.project}/immutabletagrules"
    yard.harbor.client().api.call("POST", path, "a rule", body=rule, ok=(201,))
    assert f"there already {CUDA}" in yard.site.promote().out
    first = yard.root

    def other(kept: Contents) -> tuple[LockedArtifact, ...]:
        return (factory.sample(kept, seed=f"{tmp_path} other")[0],)

    yard.site.bundle = factory.build(tmp_path / "more", other, sequence=2)
    yard.site.load()
    done = yard.site.promote(code=6)
    assert "may not be moved" in done.err
    assert yard.tag() == first
    assert yard.site.kinds()[-1] != "promote-begun"


def test_a_quarantine_that_blocks_pulls_is_told(yard: Yard) -> None:
    """Harbor blocks what is worse than its project's own limit: nobody can copy it then."""
    yard.world.reports[yard.root] = [{**ROW, "severity": "Medium"}]
    yard.site.load()
    yard.world.projects[yard.hold].metadata["prevent_vul"] = "true"
    done = yard.site.promote(code=6)
    assert yard.tag() is None
    assert "promote-done" not in yard.site.kinds()
    assert "blocks pulls by its policy of scans or signatures" in done.err
    assert "dray: error (high side)" in done.err


def test_what_somebody_tagged_in_the_quarantine_goes_nowhere(yard: Yard) -> None:
    """Harbor's own copy would take every tag along."""
    yard.site.policy("licenses: [{deny: [AGPL-*]}]")
    yard.site.load()
    client = yard.harbor.client()
    root = yard.site.bundle.manifest.artifacts[0].root
    assert client.artifacts.add_tag(f"{yard.hold}/{yard.project}/nvidia/cuda", root, "latest")
    yard.site.promote()
    found = client.artifacts.get(f"{yard.project}/nvidia/cuda", "12.6")
    assert found
    assert list(found.tags) == ["12.6"]
