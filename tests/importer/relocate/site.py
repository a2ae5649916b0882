"""A high side that has imported: a real registry, a signed receipt, and ``dray relocate`` on it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from bundle import reference
from bundle.decode import dump_json
from bundle.digest import Digest
from bundler.lock import LockedContent, Origin
from bundler.sources import fileset
from bundler.sources.helm import CONFIG, CONTENT
from tests import factory
from tests.refusals.table import dray

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bundler.lock import LockedArtifact
    from tests.factory import Contents
    from tests.refusals.table import Answer


def image(kept: Contents, name: str) -> LockedArtifact:
    """Return a small image by its name, with tag or digest, and a root of its own in any case."""
    found = reference.parse(name)
    made = factory.image(kept, f"{found.repository}:{found.tag or 'x'}", [factory.noise(name, 300)])
    tags = (found.tag,) if found.tag else ()
    contents = tuple(
        replace(one, content=replace(one.content, tags=tags if one.content.tags else ()))
        for one in made.contents
    )
    plain = tuple(one.content for one in contents)
    artifact = replace(made.artifact, name=name, contents=plain, version=found.tag)
    return replace(made, artifact=artifact, contents=contents)


def chart(kept: Contents, name: str, archive: bytes) -> LockedArtifact:
    """Return a chart; ``name`` is ``host/path:tag``."""
    from bundle.artifact import Content

    repository, _, version = name.rpartition(":")
    layer = Content("layer", CONTENT, kept.add(archive), len(archive))
    return fileset.assemble(
        fileset.Identity("chart", name, repository, version),
        [LockedContent(layer)],
        {},
        config=(CONFIG, json.dumps({"name": repository.rpartition("/")[2], "version": version})),
        origin=Origin("helm", {"repo": "https://charts.example", "chart": "x"}),
        notes={},
    )


def model(kept: Contents, name: str, files: dict[str, bytes]) -> LockedArtifact:
    """Return a model; ``name`` is ``ngc/org/name:version``."""
    repository, _, version = name.rpartition(":")
    listed = [fileset.File(path, len(data), kept.add(data)) for path, data in files.items()]
    identity = fileset.Identity("model", name, repository, version)
    return fileset.build(identity, listed, origin=Origin("ngc", {}), notes={})


@dataclass
class High:
    """One high side: ``folder`` is its working folder, ``registry`` the ``host`` it loads into."""

    folder: Path
    registry: str
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")
    rules: tuple[tuple[str, str], ...] = ()
    number: int = 0
    scheme: str = "registry"
    more: dict[str, str] = field(default_factory=dict)
    """Further keys of the registry in the target file."""

    @property
    def target(self) -> str:
        """The label of the registry target."""
        return f"{self.registry}/{self.prefix}"

    @property
    def receipt(self) -> Path:
        """The receipt of the last import."""
        return self.folder / f"receipt-{self.number}.json"

    def keygen(self) -> None:
        """Make the key that signs receipts; relocate finds its public half by itself."""
        assert dray("receipt", "keygen", "--no-passphrase", folder=self.folder).code == 0

    def load(
        self,
        images: Iterable[str] = (),
        charts: Mapping[str, bytes] | None = None,
        models: Mapping[str, dict[str, bytes]] | None = None,
        *,
        to: Iterable[object] = (),
        more: Iterable[object] = (),
    ) -> None:
        """Export and import these, signed all the way."""
        self.number += 1

        def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
            made = [image(kept, name) for name in images]
            made += [chart(kept, name, data) for name, data in (charts or {}).items()]
            for name, files in (models or {}).items():
                made.append(model(kept, name, files))
            return tuple(sorted(made, key=lambda one: one.artifact.name))

        media = self.folder / f"medium-{self.number}"
        bundle = factory.build(media, artifacts, sequence=self.number, chunk_size=1 << 20)
        rules = [{"from": a, "to": b} for a, b in self.rules]
        entry = {"to": f"{self.scheme}://{self.target}", **self.more}
        targets = [entry | ({"map": rules} if rules else {})]
        file = self.folder / "targets.yaml"
        file.write_text(yaml.safe_dump({"apiVersion": "dray/v1", "targets": targets}))
        arguments = [item for one in (file, *to) for item in ("--to", one)]
        arguments += [*more, "--trust", bundle.trust, "--receipt", self.receipt, bundle.folder]
        done = dray("import", *arguments, folder=self.folder)
        assert done.code == 0, done

    def relocate(self, *arguments: object, output: str = "out") -> Answer:
        """Run ``dray relocate`` on the last receipt."""
        return dray("relocate", self.receipt, "--output", output, *arguments, folder=self.folder)

    def files(self, output: str = "out") -> dict[str, bytes]:
        """Return what was written, by path."""
        root = self.folder / output
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def documents(self, path: str, output: str = "out") -> list[dict[str, Any]]:
        """Return the YAML documents of a file."""
        return list(yaml.safe_load_all((self.folder / output / path).read_text()))

    def digest(self, name: str) -> str:
        """Return the digest of an artifact, as the last receipt's bundle has it."""
        rows = json.loads((self.folder / "out" / "image-map.json").read_text())["artifacts"]
        return str(next(row["digest"] for row in rows if row["source"] == name))


def forged(path: Path, change: object) -> bytes:
    """Return a receipt with another payload under the same signature."""
    import base64

    envelope = json.loads(path.read_bytes())
    body = json.loads(base64.b64decode(envelope["payload"]))
    assert callable(change)
    change(body)
    envelope["payload"] = base64.b64encode(dump_json(body)).decode()
    return json.dumps(envelope).encode()


def digest_of(data: bytes) -> str:
    """Return a digest as text."""
    return str(Digest.of(data))
