"""What an export says to people and machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.options import emit, say
from bundle.progress import counted, human
from bundle.required import named
from bundler import spread
from bundler.run import summary

if TYPE_CHECKING:
    from bundler.export import Outcome
    from bundler.finish import Finished
    from bundler.plan import Plan
    from bundler.run import Number


def plan(made: Plan, name: str, *, as_json: bool) -> None:
    """Print the plan."""
    document = made.to_dict(name)
    if as_json:
        emit(document)
        return
    say(
        f"{name}: {counted(document['artifacts'], 'artifact')}, "
        f"{counted(document['blobs'], 'blob')}, {human(made.blob_bytes)}"
    )
    most = "at most " if made.encode else ""
    say(f"{counted(document['chunks'], 'chunk')}, {most}{human(made.most_bytes)} on the media")
    for medium in document["media"]:
        of = f" of {human(medium['capacity'])}" if medium["capacity"] else ""
        parity = f" + {len(medium['parity'])} parity" if medium["parity"] else ""
        chunks = f"{counted(len(medium['chunks']), 'chunk')}{parity}, {human(medium['bytes'])}{of}"
        say(f"  medium {medium['medium']}: {chunks} -> {medium['folder']}")
    for text in (protection(made), closed(made), left_out(made)):
        if text:
            say(text)
    for locked in made.lock.artifacts:
        say(f"  {locked.artifact.kind:9}{human(locked.artifact.size):>9}  {locked.artifact.name}")


def left_out(made: Plan) -> str:
    """Return what is left out for the high side has it; empty without a receipt."""
    delta = made.options.delta
    if delta is None:
        return ""
    names, left = named(delta.bases), made.required
    size, count = human(sum(blob.size for blob in left)), counted(len(left), "blob")
    return f"left out: {count}, {size}, which the high side has from {names}"


def closed(made: Plan) -> str:
    """Return whose keys open the chunks; empty when they are not encrypted."""
    keys = ", ".join(key.fingerprint.short for key in made.options.recipients)
    return f"encrypted to {keys}" if keys else ""


def protection(made: Plan) -> str:
    """Return what the parity costs and covers; empty without one."""
    if (parity := made.options.parity) is None:
        return ""
    each = counted(parity.files, "parity file")
    size = human(sum(made.parity_sizes))
    text = f"parity {parity}: {each} for {counted(parity.chunks, 'chunk')}, {size}; "
    if spread.is_medium_covered(made.spread, parity):
        return text + "covers damage, lost files and one lost medium"
    better = spread.advice(len(made.media(())), parity)
    hint = f" (--parity {better} would)" if better and better != str(parity) else ""
    return text + f"covers damage and lost files, not a lost medium{hint}"


def start(made: Plan, name: str, number: Number) -> None:
    """Say what begins, or goes on."""
    verb = "going on with" if number.unfinished else "exporting"
    total = human(made.most_bytes)
    chunks = counted(len(made.packing.sizes) + len(made.tape_sizes), "chunk")
    most = "at most " if made.encode else ""
    artifacts = counted(len(made.lock.artifacts), "artifact")
    say(f"{verb} {name}: {artifacts}, {most}{chunks}, {total}")
    for text in (protection(made), closed(made), left_out(made)):
        if text:
            say(text)


def already(known: Finished, *, as_json: bool) -> None:
    """Say that nothing has changed since the last bundle."""
    if as_json:
        emit({**summary(known, None), "unchanged": True})
        return
    say(f"{known.manifest.name} holds this lock already: {known.folders[0]}")
    say("--new exports it again under the next number")


def finished(done: Finished, outcome: Outcome, missing: str = "", *, as_json: bool) -> None:
    """Say what lies where, what is ``missing`` for the other side, and what to do with it."""
    document = summary(done, outcome)
    if as_json:
        emit({**document, "missing": missing} if missing else document)
        return
    kept = f" ({human(outcome.kept)} kept from before)" if outcome.kept else ""
    size = human(document["bytes"])
    chunks = counted(document["chunks"], "chunk")
    say(f"sealed {done.manifest.name}: {chunks}, {size}, read back and signed{kept}")
    say(f"manifest {done.digest}")
    sizes = {chunk.number: chunk.size for chunk in done.manifest.chunks}
    for medium, folder in zip(done.manifest.media, done.folders, strict=True):
        on_it = [sizes[number] for number in medium.chunks]
        files = [file for group in done.manifest.parity for file in group.files]
        spare = [file.size for file in files if file.medium == medium.number]
        extra = f" + {len(spare)} parity" if spare else ""
        say(f"  {folder}  {counted(len(on_it), 'chunk')}{extra}, {human(sum(on_it + spare))}")
    if missing:
        say(missing)
    key = " --decrypt-key FILE" if done.manifest.recipients else ""
    way = f"dray verify DIR{key}; dray import DIR --to TARGET{key}"
    say(f"carry all of it, then on the other side: {way}")
