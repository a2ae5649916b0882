"""From a spec to a lock: every entry is asked of its upstream, and every failure is reported."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import RLock
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from bundle.errors import DrayError, SourceError, UsageError, VerificationError
from bundle.http import Http
from bundle.registry import Registry
from bundler import kept, signedby
from bundler.chartimages import ChartImages, explained
from bundler.entries import ImageEntry
from bundler.fetch import other_bytes
from bundler.lock import Lock, LockedArtifact, LockedContent
from bundler.nims import Nims
from bundler.sources.helm import HelmSource
from bundler.sources.helmlogin import Logins
from bundler.sources.https import HttpsSource
from bundler.sources.huggingface import HuggingFaceSource
from bundler.sources.images import Reference, RegistrySource
from bundler.sources.keyring import HELM_HOST, Keyring
from bundler.sources.ngc import NgcSource
from bundler.sources.ngc_auth import Authorization
from bundler.sources.ngc_charts import explained_chart
from bundler.sources.ngc_products import Products
from bundler.sources.ngc_registry import NVCR, Explainer, login_of
from bundler.sources.nim import NimReader
from bundler.tagpattern import TagPattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bundle.credentials import Credentials
    from bundler.sources.base import OpenAt, Source
    from bundler.spec import ChartEntry, NimEntry, Spec

    Work = Callable[[], list[LockedArtifact]]
    T = TypeVar("T")

PARALLEL = 8


@dataclass
class Failure:
    """An entry of the spec that could not be resolved."""

    name: str
    error: DrayError


@dataclass
class Upstreams:
    """The connections and sources of one run. ``warn`` takes sentences for people.

    ``key_file`` holds the NGC key of this run; ``require_auth`` makes it an error to have none.
    ``retries`` counts the attempts after the first one.
    """

    spec: Spec
    warn: Callable[[str], object]
    key_file: Path | None = None
    require_auth: bool = False
    retries: int = 6
    keys: Keyring = field(init=False)
    _registries: dict[str, Registry] = field(default_factory=dict)
    _authorization: Authorization | None = None
    _mutex: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self.keys = Keyring(warn=self.warn, file=self.key_file, required=self.require_auth)

    @cached_property
    def http(self) -> Http:
        """The run's one HTTP client."""
        return Http(self.spec.registries, retries=self.retries)

    def registry(self, host: str) -> Registry:
        """Return the client of a registry: one for each host."""
        with self._mutex:
            if host not in self._registries:
                self._registries[host] = self._made(host)
            return self._registries[host]

    def _made(self, host: str) -> Registry:
        found = self.keys.find(host)
        if host != NVCR:
            return Registry(host, self.http, found)
        return Registry(host, self.http, found, Explainer(self.http, found, self._own(found)))

    def _own(self, found: Credentials | None) -> Authorization:
        """Return what NGC's API is shown for a credential of its registry or charts."""
        login = login_of(found)
        if login.key and login.key == self.keys.known().key:
            return self.authorization
        return Authorization(login, self.http)

    @property
    def authorization(self) -> Authorization:
        """What NGC's API is shown: the run's one key. Says when there is none."""
        # No cached_property: that has a lock of its own, and `registry` comes here with ours held.
        with self._mutex:
            if self._authorization is None:
                self._authorization = Authorization(self.keys.login(), self.http)
            return self._authorization

    @cached_property
    def registries(self) -> RegistrySource:
        """The source of images and OCI charts."""
        return RegistrySource(self.registry, Products(lambda: self.ngc.api))

    @cached_property
    def helm(self) -> HelmSource:
        """The source of charts in classic repositories."""
        return HelmSource(self.http, self.logins)

    @cached_property
    def logins(self) -> Logins:
        """What Helm repositories are shown."""

        def explain(url: str, refusals: Sequence[tuple[int, str]]) -> SourceError | None:
            found = self.keys.find(HELM_HOST)
            return explained_chart(url, refusals, found, self._own(found))

        return Logins(self.http, self.keys.find, explain)

    @cached_property
    def ngc(self) -> NgcSource:
        """The source of NGC models and resources."""
        return NgcSource(
            self.http, keys=self.keys, warn=self.warn, authorization=lambda: self.authorization
        )

    @cached_property
    def https(self) -> HttpsSource:
        """The source of plain files."""
        return HttpsSource(self.http)

    @cached_property
    def huggingface(self) -> HuggingFaceSource:
        """The source of Hugging Face's models."""
        return HuggingFaceSource(self.http)

    def ready(self) -> None:
        """Make every source, before several threads ask for one at once; nothing is contacted."""
        for name in ("http", "registries", "helm", "ngc", "https", "huggingface"):
            getattr(self, name)

    def check_logins(self, lock: Lock) -> None:
        """Raise now what would fail every artifact: a key or a login that cannot be read.

        Raises :class:`UsageError`. Nothing is asked of anybody but this host's own files.
        """
        origins = [item.origin for item in lock.artifacts]
        hosts = {origin.where["host"] for origin in origins if origin.type == "registry"}
        hosts |= {urlsplit(o.where["repo"]).netloc for o in origins if o.type == "helm"}
        for host in sorted(hosts):
            self.keys.find(host)
        if any(origin.type == "ngc" for origin in origins):
            self.keys.login()

    def opener(self, locked: LockedArtifact, content: LockedContent) -> OpenAt:
        """Open a locked content."""
        if content.kept:
            return kept.opener(self.spec.path, content.content)
        sources: dict[str, Callable[[], Source]] = {
            "registry": lambda: self.registries,
            "helm": lambda: self.helm,
            "ngc": lambda: self.ngc,
            "https": lambda: self.https,
            "huggingface": lambda: self.huggingface,
        }
        if locked.origin.type not in sources:
            raise UsageError(f"{locked.artifact.name}: {locked.origin.type} is not supported")
        with self._mutex:  # each source is made once, by whichever thread needs it first
            source = sources[locked.origin.type]()
        return source.opener(locked, content)

    def close(self) -> None:
        """Let every connection go."""
        for name in ("helm", "ngc", "https", "huggingface"):
            if name in self.__dict__:
                getattr(self, name).close()
        if "http" in self.__dict__:
            self.http.close()


def resolve(spec: Spec, upstreams: Upstreams) -> Lock:
    """Resolve every entry, in parallel; raise one error that names all that failed.

    Then the policy: :class:`bundle.errors.GateRefused` names all that is not signed as it asks.
    """
    inside, nims = ChartImages(spec, upstreams.opener, upstreams.warn), Nims(spec)
    work = _work(spec, upstreams, inside) + _nims(nims, upstreams)
    results = _run(work)
    needed = inside.wanted().items()
    more = [(name, partial(_needed, name, why, spec, upstreams)) for name, why in needed]
    for need in nims.wanted():
        more.append((str(need.model), partial(nims.weights, need, upstreams.ngc)))
    results += _run(more)
    failures = [result for result in results if isinstance(result, Failure)]
    if failures:
        raise _all(failures, len(work) + len(more))
    found = [locked for result in results if isinstance(result, list) for locked in result]
    unique = {(item.artifact.kind, item.artifact.name): item for item in reversed(found)}
    lock = Lock(spec.stream, spec.digest, tuple(unique[key] for key in sorted(unique)))
    if fault := lock.fault():
        raise UsageError(f"{spec.path}: {fault}", hint="keep one of the two entries")
    return signedby.enforce(lock, spec, upstreams)


def chart_images(spec: Spec, upstreams: Upstreams) -> ChartImages:
    """Read the charts of a spec for the images that they need; nothing else is resolved."""
    inside = ChartImages(spec, upstreams.opener, upstreams.warn)
    work = _charts([chart for chart in spec.charts if chart.images], upstreams, inside)
    failures = [result for result in _run(work) if isinstance(result, Failure)]
    if failures:
        raise _all(failures, len(work))
    return inside


def _run(work: Sequence[tuple[str, Work]]) -> list[list[LockedArtifact] | Failure]:
    with ThreadPoolExecutor(PARALLEL, "lock") as pool:
        return list(pool.map(lambda item: _attempt(*item), work))


def _attempt(name: str, work: Work) -> list[LockedArtifact] | Failure:
    try:
        return work()
    except VerificationError as error:  # of an upstream: neither of a medium nor of what was signed
        return Failure(name, other_bytes(error.message, hint=error.hint))
    except DrayError as error:
        return Failure(name, error)


def _all(failures: Sequence[Failure], total: int) -> DrayError:
    first = failures[0].error
    rows = [f"  {item.error.message}\n    {item.error.hint}".rstrip() for item in failures]
    rows = list(dict.fromkeys(rows))  # one fault of this host's own fails many entries
    if len(rows) == 1:
        return first
    message = f"{len(failures)} of {total} entries cannot be pinned:\n" + "\n".join(rows)
    kind = type(first) if all(type(f.error) is type(first) for f in failures) else SourceError
    return kind(message, hint="nothing was written: the lock is all entries or none")


def _work(spec: Spec, upstreams: Upstreams, inside: ChartImages) -> list[tuple[str, Work]]:
    work: list[tuple[str, Work]] = [
        (entry.name, partial(_images, entry, spec, upstreams.registries)) for entry in spec.images
    ]
    work += _charts(spec.charts, upstreams, inside)
    for entry in (*spec.models, *spec.resources):
        work.append((entry.name, partial(_one, upstreams.ngc.resolve, entry)))
    for repo in spec.hf:
        work.append(
            (f"{repo.repo} {repo.commit}", partial(_one, upstreams.huggingface.resolve, repo))
        )
    for file in spec.files:
        work.append((file.url, partial(_one, upstreams.https.resolve, file)))
    return work


def _nims(nims: Nims, upstreams: Upstreams) -> list[tuple[str, Work]]:
    reader = NimReader(upstreams.registry)

    def one(entry: NimEntry) -> list[LockedArtifact]:
        def pin() -> LockedArtifact:
            return _images(entry.image, nims.spec, upstreams.registries)[0]

        return [nims.image(entry, pin, reader)]

    return [(entry.image.name, partial(one, entry)) for entry in nims.spec.nims]


def _charts(
    charts: Sequence[ChartEntry], upstreams: Upstreams, inside: ChartImages
) -> list[tuple[str, Work]]:
    return [
        (f"{chart.repo} {chart.name}", partial(_chart_and_inside, chart, upstreams, inside))
        for chart in charts
    ]


def _chart_and_inside(
    entry: ChartEntry, upstreams: Upstreams, inside: ChartImages
) -> list[LockedArtifact]:
    in_registry = entry.repo.startswith("oci://")
    oci_chart = partial(_chart, upstreams.registries)
    chart = (oci_chart if in_registry else upstreams.helm.resolve)(entry)
    if entry.images:
        inside.read(entry, chart)
    return [chart]


def _needed(name: str, why: str, spec: Spec, upstreams: Upstreams) -> list[LockedArtifact]:
    found = _images(ImageEntry(name), spec, upstreams.registries)
    return [explained(image, why) for image in found]


def _one(resolver: Callable[[T], LockedArtifact], entry: T) -> list[LockedArtifact]:
    return [resolver(entry)]


def _images(entry: ImageEntry, spec: Spec, source: RegistrySource) -> list[LockedArtifact]:
    chosen = entry.platforms or spec.platforms
    platforms = () if chosen == "all" else tuple(chosen)
    host, _, rest = entry.name.partition("/")
    if not entry.tags:
        return [source.resolve(_reference(host, rest, entry.name), platforms)]
    pattern = TagPattern.parse(entry.tags)
    tags = pattern.select(source.tags(host, rest))
    if not tags:
        message = f"no tag of {entry.name} matches {entry.tags!r}"
        raise SourceError(message, hint="look at the tags there are, or mend the pattern")
    names = [f"{entry.name}:{tag}" for tag in tags]
    return [source.resolve(_reference(host, n.partition("/")[2], n), platforms) for n in names]


def _reference(host: str, rest: str, name: str, kind: str = "image") -> Reference:
    path, _, digest = rest.partition("@")
    repository, _, tag = path.partition(":")
    return Reference(host, repository, digest or tag, tag, name, kind)


def _chart(source: RegistrySource, entry: ChartEntry) -> LockedArtifact:
    name = entry.repo.removeprefix("oci://")
    tag = entry.version.replace("+", "_")
    host, _, rest = name.partition("/")
    reference = _reference(host, f"{rest}:{tag}", f"{name}:{tag}", "chart")
    return source.resolve(reference, ())
