"""OpenVEX: whether a vulnerability affects a product, in the word of whom a policy believes.

Source: openvex/spec, OPENVEX-SPEC.md v0.2.0 (and 0.0.1, whose products are plain texts).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from bundle.gate.foreign import Node, digests, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundle.artifact import Artifact
    from bundle.decode import Path
    from bundle.gate.finding import Finding

CONTEXT = "https://openvex.dev/ns"
SUPPRESSES = frozenset({"not_affected", "fixed"})
STATUSES = ("not_affected", "fixed", "under_investigation", "affected")
"""From what lets a finding through to what does not: of one moment, the last counts."""
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Product:
    """What a statement is about. ``parts`` are the packages in it, all of them when empty."""

    id: str
    digests: frozenset[str]
    parts: tuple[str, ...] = ()

    def holds(self, artifact: Artifact) -> bool:
        """Whether this is the artifact: by a digest where one is written, else by its name."""
        mine = {str(content.digest) for content in artifact.manifests}
        if self.digests:
            return bool(self.digests & mine)
        name = self.id
        if name.startswith("pkg:oci/"):
            found = parse_qs(urlsplit(name).query).get("repository_url", [""])
            tag = parse_qs(urlsplit(name).query).get("tag", [""])[0]
            if tag and tag != artifact.version:
                return False
            return found[0].lower() == artifact.repository
        return name in {artifact.name, artifact.repository}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: names of a vulnerability, a status, and the products it is about."""

    names: frozenset[str]
    status: str
    why: str
    when: datetime
    products: tuple[Product, ...]
    author: str

    def is_about(self, finding: Finding, artifact: Artifact) -> bool:
        """Whether it is about a finding in an artifact."""
        if not self.names & finding.names:
            return False
        return any(_covers(product, finding, artifact) for product in self.products)


@dataclass(frozen=True, slots=True)
class Vex:
    """The statements of one document. ``only`` limits them to the artifact that carries them."""

    statements: tuple[Statement, ...]
    source: str
    only: str = field(default="")


def is_one(document: Node) -> bool:
    """Whether a document has this form."""
    return document.text("@context").startswith(CONTEXT)


def parse(data: bytes, what: str, *, only: str = "") -> Vex:
    """Read a document; raise :class:`bundle.gate.foreign.Unreadable`."""
    return vex(read(data, what), only=only)


def vex(document: Node, *, only: str = "") -> Vex:
    """Read a document; raise :class:`bundle.gate.foreign.Unreadable`."""
    if not is_one(document):
        raise document.fault(f"is no OpenVEX: its @context is not {CONTEXT}")
    author = document.need("author")
    made = document.moment("timestamp") or _NEVER
    found = tuple(_statement(one, author, made) for one in document.objects("statements"))
    return Vex(found, document.what, only)


def _statement(one: Node, author: str, made: datetime) -> Statement:
    status = one.need("status")
    if status not in STATUSES:
        raise one.fault(f"is {status[:40]!r}", "status")
    justification, impact = one.text("justification"), one.text("impact_statement", limit=1 << 16)
    if status == "not_affected" and not (justification or impact):
        raise one.fault("says not_affected, and not why", "status")
    products = [_product(path, item, one.what) for path, item in one.items("products")]
    if not products:
        raise one.fault("are missing: it is about nothing", "products")
    when = one.moment("last_updated") or one.moment("timestamp") or made
    why = justification or impact[:200] or one.text("action_statement", limit=1 << 16)[:200]
    return Statement(_names(one), status, why, when, tuple(products), author)


def _names(one: Node) -> frozenset[str]:
    if one.is_text("vulnerability"):
        return frozenset({one.need("vulnerability").upper()})
    about = one.child("vulnerability")
    return frozenset(name.upper() for name in (about.need("name"), *about.texts("aliases")))


def _product(path: Path, item: object, what: str) -> Product:
    if isinstance(item, str):
        return Product(item, digests(item))
    node = Node(item, path, what)
    purl = _purl(node)
    name = node.text("@id") or purl
    if not name:
        raise node.fault("has neither @id nor a purl")
    stated = digests(name, purl)
    if "hashes" in node:
        sums = node.child("hashes")
        sha = sums.text("sha-256") or sums.text("sha256")
        stated |= digests(f"sha256:{sha.lower()}")
    parts = tuple(one.text("@id") or _purl(one) for one in node.objects("subcomponents"))
    if not all(parts):
        raise node.fault("has one without @id and purl", "subcomponents")
    return Product(name, stated, parts)


def _purl(node: Node) -> str:
    return node.child("identifiers").text("purl") if "identifiers" in node else ""


def _covers(product: Product, finding: Finding, artifact: Artifact) -> bool:
    if product.holds(artifact):
        return not product.parts or any(_is_package(part, finding) for part in product.parts)
    # A statement about the package itself, wherever it is.
    is_package = product.id.startswith("pkg:") and not product.id.startswith("pkg:oci/")
    return is_package and not product.parts and _is_package(product.id, finding)


def _is_package(purl: str, finding: Finding) -> bool:
    """Whether a package URL is the finding's package; without a version, every version is."""
    if not purl.startswith("pkg:"):
        return purl == finding.package
    kind, name, version = _split(purl)
    if finding.purl:
        other = _split(finding.purl)
        return (kind, name) == other[:2] and version in {"", other[2]}
    # Harbor's report has no purls: the bare name and the version have to do.
    bare = name.rpartition("/")[2]
    return finding.package in {bare, name} and version in {"", finding.version}


def _split(purl: str) -> tuple[str, str, str]:
    body = purl.removeprefix("pkg:").partition("?")[0].partition("#")[0]
    kind, _, rest = body.partition("/")
    name, at, version = rest.rpartition("@")
    name, version = (name, version) if at else (rest, "")
    return kind.lower(), unquote(name), unquote(version)


def ruling(
    documents: Sequence[Vex], finding: Finding, artifact: Artifact
) -> tuple[Statement, Vex] | None:
    """Return the latest statement about a finding in an artifact, and where it stands.

    Of several of one moment, that which lets the least through.
    """
    found = list(_about(documents, finding, artifact))
    if not found:
        return None
    return max(found, key=lambda pair: (pair[0].when, STATUSES.index(pair[0].status)))


def _about(
    documents: Sequence[Vex], finding: Finding, artifact: Artifact
) -> Iterator[tuple[Statement, Vex]]:
    for document in documents:
        if document.only and document.only != artifact.name:
            continue
        for statement in document.statements:
            if statement.is_about(finding, artifact):
                yield statement, document
