"""``dray export`` about a bundle that exists: chunks made again, a second host's signature."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundle.errors import UsageError, VerificationError
from bundle.options import FOLDER, emit, find_trust, option, say, stoppable, trust_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.manifest import Manifest
    from bundle.media import Media
    from bundle.trust import Trust
    from bundle.unseal import Opened
    from bundler.connect import Connect
    from bundler.lock import Lock
    from bundler.signers import Chosen
    from bundler.spec import Spec

ANY = click.Path(path_type=Path)


@dataclass(frozen=True)
class Again:
    """What was asked for about a bundle that exists; nothing, mostly."""

    chunks: str
    of: Path | None
    cosign_of: Path | None
    sources: tuple[Path, ...]
    trust: Path | None
    pub: Path | None

    @property
    def asked(self) -> bool:
        """Whether anything was."""
        return bool(self.chunks or self.of or self.cosign_of)

    def check(self, folders: tuple[Path, ...], given: dict[str, object]) -> None:
        """Refuse what does not go together; ``given`` are the other options of an export."""
        if not self.asked:
            if self.sources:
                hint = "leave it out, or name a bundle with --of or --cosign-of"
                raise UsageError("--from is for a bundle that exists", hint=hint)
            if not folders:
                raise UsageError("Missing option '--to'.", hint="name the folder: --to DIR")
            return
        if other := [name for name, value in given.items() if value]:
            message = f"{other[0]} does not go with a bundle that exists: its manifest says it all"
            raise UsageError(message, hint=f"leave {other[0]} out")
        if self.cosign_of and (self.chunks or self.of or folders):
            message = "--cosign-of writes no chunks: it excludes --chunks, --of and --to"
            raise UsageError(message, hint="give one of them")
        if not self.cosign_of and not (self.chunks and self.of and len(folders) == 1):
            raise UsageError(
                "--chunks, --of and one --to belong together",
                hint="dray export SPEC --chunks 3,17 --of MANIFEST --to DIR",
            )


def again_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about a bundle that exists; the command gets ``again`` for them."""

    @wraps(function)
    def command(
        *arguments: Any,
        chunks: str,
        of: Path | None,
        cosign_of: Path | None,
        sources: tuple[Path, ...],
        trust: Path | None,
        pub: Path | None,
        **named: Any,
    ) -> Any:
        asked = Again(chunks, of, cosign_of, sources, trust, pub)
        return function(*arguments, again=asked, **named)

    for add in (
        trust_options,
        option(
            "--from",
            "sources",
            type=FOLDER,
            multiple=True,
            metavar="DIR",
            help="With --chunks or --cosign-of: another bundle that may hold what is gone.",
        ),
        option(
            "--cosign-of",
            type=ANY,
            metavar="MANIFEST",
            help="Make every chunk of this bundle again, without writing it; when all are the same "
            "bytes, sign its manifest with --key.",
        ),
        option(
            "--of",
            type=ANY,
            metavar="MANIFEST",
            help="With --chunks: the bundle's manifest, or a folder that holds it.",
        ),
        option(
            "--chunks",
            default="",
            metavar="N,…",
            help="Make only these chunks of an exported bundle again, as 3,17,20-25.",
        ),
    ):
        command = add(command)
    return command


def numbers(text: str, most: int) -> list[int]:
    """Read ``3,17,20-25``; ``most`` is how many chunks there are."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 0 < first <= last:
            raise UsageError(f"not chunk numbers: {text!r}", hint="write them as 3,17,20-25")
        if last > most:
            raise UsageError(f"there is no chunk {last}: the bundle has {most}")
        found |= set(range(first, last + 1))
    return sorted(found)


def run(
    again: Again,
    spec: Spec,
    folders: tuple[Path, ...],
    connect: Connect,
    signing: Chosen,
    *,
    as_json: bool,
) -> None:
    """Do what was asked for."""
    if again.cosign_of:
        _cosign(again, again.cosign_of, spec, connect, signing, as_json=as_json)
    elif again.of:
        _remake(again, again.of, spec, folders[0], connect, as_json=as_json)


def _open(again: Again, path: Path) -> tuple[Media, Opened, Trust]:
    from bundle import instant
    from bundle.media import Media
    from bundle.unseal import opened

    media = Media.of_manifest(path) if path.is_file() else Media.find([path])
    trusted = find_trust(again.trust, again.pub, media.folders)
    trusted.check_current(instant.now())
    found = opened(media, trusted)
    if found.manifest.recipients:
        raise UsageError(
            f"{found.manifest.name} is encrypted: no host can make the same bytes again",
            hint="its keys were random and are gone: restore it from parity, or export with --new",
        )
    return media, found, trusted


def _remake(
    again: Again, of: Path, spec: Spec, folder: Path, connect: Connect, *, as_json: bool
) -> None:
    from bundle.progress import bar
    from bundle.shelf import Shelf
    from bundler import remake
    from bundler.finish import put

    media, found, trusted = _open(again, of)
    manifest = found.manifest
    wanted = numbers(again.chunks, len(manifest.chunks))
    lock = _lock(spec, media, manifest)
    shelf = Shelf(again.sources, trusted) if again.sources else None
    target = folder / manifest.name
    size = sum(manifest.chunks[number - 1].size for number in wanted)
    upstreams = connect(spec)
    with stoppable() as stop:
        try:
            with bar(size, "making again", quiet=as_json) as on_bytes:
                upstream = remake.Upstream(lock, upstreams.opener, stop)
                failures = remake.Remake(manifest, target, upstream, shelf, on_bytes).run(wanted)
        finally:
            upstreams.close()
    for name, data in {**media.signatures(), f"{manifest.name}.manifest.json": found.data}.items():
        put(target / Path(name).name, data)
    made = [target / manifest.chunks[n - 1].name for n in wanted if n not in failures]
    error = remake.failed(failures, manifest) if failures else None
    if as_json:
        body: dict[str, Any] = {"bundle": manifest.name, "made": [str(path) for path in made]}
        emit(body | ({"error": error.to_dict()} if error else {}))
    else:
        for path in made:
            say(f"made {path}: as it was signed")
    if error:
        raise error


def _lock(spec: Spec, media: Media, manifest: Manifest) -> Lock:
    """Return the lock that the bundle was made from: that of the spec, or the bundle's own copy."""
    from bundle.digest import Digest
    from bundle.errors import DrayError
    from bundler import lock, locked

    try:
        beside = locked.read(spec)
    except DrayError:
        beside = None
    if beside and beside.digest == manifest.lock:
        return beside
    for path in media.places(f"{manifest.name}.lock.yaml"):
        data = media.read(path, lock.MAX_BYTES)
        if Digest.of(data) == manifest.lock:
            return lock.parse(data, path)
    raise UsageError(
        f"the lock of {manifest.name} is not here: that of {spec.path.name} is another by now",
        hint=f"put {manifest.name}.lock.yaml beside the manifest: every medium carries it",
    )


def _cosign(
    again: Again, of: Path, spec: Spec, connect: Connect, signing: Chosen, *, as_json: bool
) -> None:
    from bundle.digest import Digest
    from bundle.progress import bar, counted
    from bundle.shelf import Shelf
    from bundler import countersign, locked
    from bundler.cosign import Second
    from bundler.remake import Upstream

    media, found, trusted = _open(again, of)
    manifest = found.manifest
    if found.damaged:
        message = f"{found.damaged[0]} is damaged: other media hold a signed one"
        raise VerificationError(message, hint="name one medium, or run dray repair first")
    signers = signing.signers(beside=spec.path, trial=True)
    own = locked.read(spec)
    if own is None:
        raise UsageError(f"there is no {locked.lock_path(spec.path)}", hint="review the lock first")
    locked.check_pair(own, spec)
    shelf = Shelf(again.sources, trusted) if again.sources else None
    upstreams = connect(spec)
    size = sum(chunk.size for chunk in manifest.chunks)
    with stoppable() as stop:
        try:
            with bar(size, "making again", quiet=as_json) as on_bytes:
                upstream = Upstream(own, upstreams.opener, stop)
                left = Second(own, upstream, shelf, on_bytes).check(manifest, Digest.of(found.data))
        finally:
            upstreams.close()
    signed = tuple(sorted(found.verified.names))
    draft = countersign.Draft(media, found.data, manifest, trusted, signed)
    written = [path for signer in signers for path in countersign.add(draft, signer)]
    if as_json:
        body: dict[str, Any] = {"bundle": manifest.name, "chunks": len(manifest.chunks)}
        emit({**body, "notCompared": left, "written": [str(path) for path in written]})
        return
    say(
        f"{manifest.name}: {counted(len(manifest.chunks), 'chunk')} made again here, the same bytes"
    )
    if left:
        say(f"not compared: {', '.join(left[:4])}{' …' if len(left) > 4 else ''}")
    for path in written:
        say(f"wrote {path}")
