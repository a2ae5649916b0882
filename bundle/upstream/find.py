"""The signatures that an artifact carries, in whichever way its kind carries them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from bundle.artifact import Artifact, Content
from bundle.errors import NotTrusted
from bundle.upstream import cosign, evidence, prov
from bundle.upstream.cosign import BundleSigning, SimpleSigning
from bundle.upstream.envelope import MAX_BYTES, MEDIA_TYPES, fields_of
from bundle.upstream.oms import ModelSigning
from bundle.upstream.prov import ChartSigning

if TYPE_CHECKING:
    from bundle.digest import Digest
    from bundle.upstream.evidence import Form, Layer
    from bundle.upstream.keys import Keys
    from bundle.upstream.record import Proof

Read = Callable[[Content], bytes]
"""Returns the bytes of a content, checked against its digest."""

MODEL_SIGNATURES = ("result.sigstore", "model.sig")
"""What a model's signature is called among its files: by NGC, and by the model_signing program."""
MOST = 64
"""Signatures of an artifact that are read: anybody who can push may add some."""
_CONFIG_LIMIT = 1 << 20


class Signing(Protocol):
    """A signature that may vouch for an artifact. ``where`` names it in messages."""

    @property
    def where(self) -> str: ...  # noqa: D102

    def prove(self, keys: Keys) -> Proof: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Broken:
    """What calls itself a signature and is none that can be read."""

    where: str
    fault: NotTrusted

    def prove(self, _keys: Keys) -> Proof:
        """Raise why it proves nothing."""
        raise self.fault


def signings(artifact: Artifact, read: Read) -> list[Signing]:
    """Return every signature that could vouch for the whole of ``artifact``.

    A signature of one platform's manifest does not vouch for an index, nor one of an SBOM for an
    image. ``read`` may raise what reading raises.
    """
    found = list(islice(_Finder(artifact, read).all(), MOST + 1))
    if len(found) > MOST:
        fault = NotTrusted(f"there are more than {MOST} signatures: none is looked at")
        return [Broken("its signatures", fault)]
    return found


@dataclass
class _Finder:
    artifact: Artifact
    read: Read

    def all(self) -> Iterator[Signing]:
        self.by_digest = {content.digest: content for content in self.artifact.contents}
        yield from self._charts()
        yield from self._models()
        root = self.artifact.root
        tag = f"sha256-{root.hex}.sig"
        for content in self.artifact.manifests:
            if content.digest == root or content.role != "manifest":
                continue
            if tag in content.tags:
                yield from self._guarded("its .sig tag", content, self._simple)
            elif content.subject == root:
                where = f"its referrer {content.digest.short}"
                yield from self._guarded(where, content, self._referrer)

    def _guarded(
        self, where: str, content: Content, found: Callable[[str, Form], Iterator[Signing]]
    ) -> Iterator[Signing]:
        try:
            form = evidence.read(self._small(content, evidence.MANIFEST_LIMIT, where), where)
            yield from found(where, form)
        except NotTrusted as fault:
            yield Broken(where, fault)

    # -- images and whatever else lies in registries ----------------------------------------------

    def _simple(self, where: str, form: Form) -> Iterator[Signing]:
        yield from self._layers(where, form.layers, self.artifact.root, self._signed)

    def _referrer(self, where: str, form: Form) -> Iterator[Signing]:
        if form.artifact_type == evidence.ARTIFACT_TYPE:
            yield from self._evidence(where, form)
        else:
            yield from self._layers(where, form.layers, self.artifact.root, self._signed)

    def _signed(self) -> bytes:
        root = self.by_digest[self.artifact.root]
        return self._small(root, evidence.MANIFEST_LIMIT, "its manifest")

    def _layers(
        self, where: str, layers: tuple[Layer, ...], target: Digest, signed: Callable[[], bytes]
    ) -> Iterator[Signing]:
        """Yield the signatures of ``target`` among a manifest's layers."""
        for layer in layers:
            if layer.media_type == cosign.SIMPLE_SIGNING:
                payload = self._layer(layer, cosign.MAX_PAYLOAD, where)
                yield SimpleSigning(where, target, payload, layer.signature, layer.keyless)
            elif layer.media_type in MEDIA_TYPES:
                data = self._layer(layer, MAX_BYTES, where)
                if self.artifact.kind in {"model", "resource"}:
                    yield self._model(where, data, "")
                else:
                    yield BundleSigning(where, target, data, signed())

    def _evidence(self, where: str, form: Form) -> Iterator[Signing]:
        """Follow a signature of an index that is left behind to the manifest that it lists."""
        root = self.by_digest[self.artifact.root]
        limit = evidence.MANIFEST_LIMIT
        index = self._layer(evidence.only(form.layers, evidence.INDEX, where), limit, where)
        target = evidence.index_of(index, root.digest, root.size, where)
        for layer in form.layers:
            if layer.media_type == evidence.SIGNATURE:
                data = self._layer(layer, limit, where)
                inner = evidence.read(data, where)
                named = f"its index's signature {layer.digest.short}"
                yield from self._layers(named, inner.layers, target, lambda: index)

    def _layer(self, layer: Layer, limit: int, where: str) -> bytes:
        content = self.by_digest.get(layer.digest)
        if content is None or content.size != layer.size:
            raise NotTrusted(f"{where}: what it signs, {layer.digest.short}, is not carried")
        return self._small(content, limit, where)

    def _small(self, content: Content, limit: int, where: str) -> bytes:
        if content.size > limit:
            raise NotTrusted(f"{where} is larger than any signature: {content.size} bytes")
        return self.read(content)

    # -- charts and models ------------------------------------------------------------------------

    def _charts(self) -> Iterator[Signing]:
        kinds = {content.media_type: content for content in self.artifact.contents}
        found, archive = kinds.get(prov.MEDIA_TYPE), kinds.get(prov.CHART)
        if self.artifact.kind != "chart" or found is None:
            return
        try:
            if archive is None or prov.CONFIG not in kinds:
                raise NotTrusted("the provenance is of no chart")
            data = self._small(found, prov.MAX_BYTES, "the provenance")
            facts = fields_of(
                self._small(kinds[prov.CONFIG], _CONFIG_LIMIT, "the chart's config"),
                "the chart's config",
                _CONFIG_LIMIT,
            )
            name, version = facts.text("name"), facts.text("version")
            yield ChartSigning("the provenance", archive.digest, data, name, version)
        except NotTrusted as fault:
            yield Broken("the provenance", fault)

    def _models(self) -> Iterator[Signing]:
        if self.artifact.kind not in {"model", "resource"}:
            return
        for content in self.artifact.files:
            if content.path in MODEL_SIGNATURES:
                try:
                    data = self._small(content, MAX_BYTES, content.path)
                    yield self._model(content.path, data, content.path)
                except NotTrusted as fault:
                    yield Broken(content.path, fault)

    def _model(self, where: str, data: bytes, own: str) -> Signing:
        files = {content.path: content for content in self.artifact.files}
        partial = "partial" in self.artifact.notes
        return ModelSigning(where, self.artifact.root, data, files, own, partial)
