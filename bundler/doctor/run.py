"""One examination: the key, the hosts, then every item of the spec, in parallel."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bundle.errors import DrayError
from bundler.doctor import charts, hosts, images, login, models, space, weights
from bundler.doctor.findings import ACCESS, Finding, Item, Report, failure
from bundler.doctor.images import Wanted
from bundler.entries import ImageEntry
from bundler.resolve import chart_images
from bundler.sources.huggingface import HOST as HUB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bundle.digest import Digest
    from bundler.doctor.hosts import Look
    from bundler.entries import ChartEntry, Platforms
    from bundler.resolve import Upstreams
    from bundler.spec import Spec

    Probe = Callable[[Item], None]

PARALLEL = 8


@dataclass
class Examination:
    """Examines ``spec``; ``locked`` has the digests of its lock by name, ``to`` is for the bundle.

    Asks what a lock and an export ask, and downloads one byte of each item.
    """

    spec: Spec
    upstreams: Upstreams
    locked: Mapping[str, Digest] = field(default_factory=dict)
    to: Sequence[Path] = ()
    looks: dict[str, Look] = field(default_factory=dict)
    keyless: bool = False

    def run(self) -> Report:
        """Return every finding; raises nothing that an upstream or a key can cause."""
        found, key = login.examine(self.upstreams) if self._uses_ngc() else ([], {})
        self.keyless = any(finding.configuration for finding in found)
        found += self._hosts(key)
        items = self._items([*self._entries(), *self._nims()])
        items += self._weights(items) + self._discovered()
        found += [finding for item in items for finding in item.findings()]
        sizes = {digest: size for item in items for digest, size in item.size.items()}
        whole = all(finding.verdict in {"ok", "warn"} for finding in found)
        found += space.examine(self.to, sizes, whole=whole)
        return Report.of(found, key)

    # -- hosts ------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        """Return the hosts that the spec's items are asked of."""
        spec = self.spec
        named = [entry.name.partition("/")[0] for entry in spec.images]
        named += [entry.image.name.partition("/")[0] for entry in spec.nims]
        for chart in spec.charts:
            named.append(urlsplit(chart.repo).netloc.lower())
        if spec.models or spec.resources or spec.nims:
            named.append(hosts.API)
        named += [urlsplit(entry.url).netloc.lower() for entry in spec.files]
        return list(dict.fromkeys(named + ([HUB] if spec.hf else [])))

    def _uses_ngc(self) -> bool:
        return bool(hosts.NGC & set(self._names()))

    def _hosts(self, key: Mapping[str, object]) -> list[Finding]:
        names = self._names()
        legacy = key.get("kind") == "legacy"
        wanted = hosts.needed(names, legacy=legacy, api=hosts.NVCR in names)
        with ThreadPoolExecutor(PARALLEL, "doctor") as pool:
            self.looks = hosts.each(
                self.upstreams.http, wanted, lambda one: list(pool.map(one, wanted))
            )
        found = [seen.finding for seen in self.looks.values()]
        found += hosts.clock(list(self.looks.values()))
        return found + self._credentials(names)

    def _credentials(self, names: Sequence[str]) -> list[Finding]:
        """Read docker's configuration, and ask its helpers, once for each host."""
        found = []
        for name in names:
            try:
                self.upstreams.keys.find(name)
            except DrayError as error:
                if name in hosts.NGC and self.keyless:
                    continue  # the same fault of the same key
                error.case = error.case or "docker-config"
                found.append(failure(login.GROUP, name, "credential", error))
        return found

    # -- items ------------------------------------------------------------------------------------

    def _items(self, work: Sequence[tuple[Item, Sequence[str], Probe]]) -> list[Item]:
        with ThreadPoolExecutor(PARALLEL, "doctor") as pool:
            return list(pool.map(lambda one: self._probed(*one), work))

    def _probed(self, item: Item, needed: Sequence[str], probe: Probe) -> Item:
        down = [name for name in needed if name in self.looks and self.looks[name].down]
        if self.keyless and hosts.NGC & set(needed):
            item.skip(ACCESS, "the key can't be read")
        elif down:
            item.skip(ACCESS, f"{down[0]} can't be reached")
        else:
            try:
                probe(item)
            except DrayError as error:
                item.fail(ACCESS, error)
        return item

    def _entries(self) -> list[tuple[Item, Sequence[str], Probe]]:
        spec, upstreams = self.spec, self.upstreams
        work = [self._image(entry) for entry in spec.images]
        work += [self._chart(entry) for entry in spec.charts]
        for entry in (*spec.models, *spec.resources):
            item = Item(entry.kind, f"ngc/{entry}", entry.where)
            work.append((item, (hosts.API,), _later(models.probe, entry, upstreams)))
        for file in spec.files:
            item = Item("file", file.url, file.where)
            host = urlsplit(file.url).netloc.lower()
            work.append((item, (host,), _later(charts.file, file, upstreams)))
        for repo in spec.hf:
            item = Item("hf", f"{repo.repo}:{repo.commit[:12]}", repo.where)
            work.append((item, (HUB,), _later(charts.huggingface, repo, upstreams)))
        return work

    def _image(self, entry: ImageEntry, group: str = "image") -> tuple[Item, Sequence[str], Probe]:
        wanted = Wanted(
            entry.name, _platforms(self.spec.platforms_of(entry)), self.locked, entry.tags
        )
        name = f"{entry.name} {entry.tags}".strip()
        host = wanted.parts[0]
        item = Item(group, name, entry.where)
        return item, (host,), _later(images.probe, wanted, self.upstreams)

    def _chart(self, entry: ChartEntry) -> tuple[Item, Sequence[str], Probe]:
        host = urlsplit(entry.repo).netloc.lower()
        if not entry.is_oci:
            item = Item("chart", f"{entry.repo}/{entry.name}:{entry.version}", entry.where)
            return item, (host,), _later(charts.probe, entry, self.upstreams)
        name = f"{entry.repo.removeprefix('oci://')}:{entry.version.replace('+', '_')}"
        wanted = Wanted(name, (), self.locked)
        item = Item("chart", name, entry.where)
        return item, (host,), _later(images.probe, wanted, self.upstreams)

    def _discovered(self) -> list[Item]:
        """Read the charts whose images come along, which are small, and ask for each image."""
        if not any(chart.images for chart in self.spec.charts):
            return []
        item = Item("chart", "images that charts need")
        try:
            wanted = chart_images(self.spec, self.upstreams).wanted()
        except DrayError as error:
            item.fail(ACCESS, error)
            return [item]
        named = [ImageEntry(name, where=why) for name, why in wanted.items()]
        return self._items([self._image(entry) for entry in named])

    # -- NIMs: two gates --------------------------------------------------------------------------

    def _nims(self) -> list[tuple[Item, Sequence[str], Probe]]:
        return [self._image(entry.image, "nim") for entry in self.spec.nims]

    def _weights(self, images: Sequence[Item]) -> list[Item]:
        """Ask for the model files of the NIMs whose images can be had."""
        there = {item.name for item in images if item.group == "nim" and not item.failed}
        entries = [entry for entry in self.spec.nims if entry.image.name in there]
        needs, found = weights.needs(self.spec, entries, self.upstreams)
        work: list[tuple[Item, Sequence[str], Probe]] = []
        for need in needs:
            item = Item("weights", f"ngc/{need.model}", need.model.where)
            probe = _later(models.probe, need.model, self.upstreams, weights.gate(need))
            work.append((item, (hosts.API,), probe))
        return found + self._items(work)


def _later(probe: Callable[..., None], *arguments: object) -> Probe:
    return lambda item: probe(item, *arguments)


def _platforms(chosen: Platforms) -> tuple[str, ...]:
    return () if chosen == "all" else tuple(chosen)
