"""A trust file as people read it, and what one version changes of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle import instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.digest import Digest
    from bundle.quorum import Role, Stream
    from bundle.trust import Trust


def grouped(digest: Digest) -> str:
    """Return a digest's 64 digits in groups of four, to be read out and ticked off."""
    return " ".join(digest.hex[start : start + 4] for start in range(0, 64, 4))


def describe(trust: Trust) -> Iterator[str]:
    """Yield the lines that show a trust file."""
    expires = instant.spell(trust.expires) if trust.expires else "never"
    yield f"version {trust.version}, expires {expires}"
    if trust.digest:
        yield f"fingerprint {grouped(trust.digest)}"
    for name, key in trust.keys.items():
        person = trust.people.get(name, "")
        yield f"key {name}{f' of {person}' if person else ''} ({key.algorithm})"
        yield f"    {grouped(key.fingerprint)}"
    yield f"root: {_role(trust.root)}"
    for name, stream in trust.streams.items():
        yield f"stream {name}: {_stream(stream)}"
    for name, key in trust.receipts.keys.items():
        yield f"receipts {_site(trust, name)}"
        yield f"    {grouped(key.fingerprint)}"


def _site(trust: Trust, name: str) -> str:
    site = trust.receipts.sites.get(name, "")
    return f"{name} of {site}" if site else name


def document(trust: Trust) -> dict[str, Any]:
    """Return a trust file as ``--json`` prints it: itself, with fingerprints."""
    body = trust.to_dict()
    for row in body["keys"]:
        row["fingerprint"] = str(trust.keys[row["name"]].fingerprint)
    for row in body.get("receipts", []):
        row["fingerprint"] = str(trust.receipts.keys[row["name"]].fingerprint)
    return {**body, "fingerprint": str(trust.digest)}


def changes(before: Trust, after: Trust) -> Iterator[str]:
    """Yield a line for each thing that ``after`` changes, and one for when it expires."""
    for name, key in after.keys.items():
        if name not in before.keys:
            person = after.people.get(name, "")
            yield f"+ key {name}{f' of {person}' if person else ''}  {grouped(key.fingerprint)}"
        elif before.keys[name] != key:
            yield f"! key {name} is another one now  {grouped(key.fingerprint)}"
    for name in before.keys:
        if name not in after.keys:
            yield f"- key {name}"
    for name in {**before.people, **after.people}:
        if name in before.keys and name in after.keys:
            yield from _changed(
                f"key {name} is of", before.people.get(name, name), after.people.get(name, name)
            )
    yield from _changed("root:", _role(before.root), _role(after.root))
    for name in {**before.streams, **after.streams}:
        one, two = before.streams.get(name), after.streams.get(name)
        old = _stream(one) if one else "nobody"
        new = _stream(two) if two else "nobody"
        yield from _changed(f"stream {name}:", old, new)
    yield from _receipts(before, after)
    if after.expires:
        yield f"  expires {instant.spell(after.expires)}"


def _receipts(before: Trust, after: Trust) -> Iterator[str]:
    for name, key in after.receipts.keys.items():
        if before.receipts.keys.get(name) != key:
            yield f"+ receipts {_site(after, name)}  {grouped(key.fingerprint)}"
        elif _site(before, name) != _site(after, name):
            yield f"  receipts {_site(after, name)} (was {_site(before, name)})"
    for name in before.receipts.keys:
        if name not in after.receipts.keys:
            yield f"- receipts {name}"


def _changed(what: str, before: str, after: str) -> Iterator[str]:
    if before != after:
        yield f"  {what} {after} (was {before})"


def _role(role: Role) -> str:
    name = f"{role.name}: " if role.name else ""
    return f"{name}{role.threshold} of {', '.join(role.keys)}"


def _stream(stream: Stream) -> str:
    epoch = f", epoch {stream.epoch}" if stream.epoch else ""
    return "; ".join(_role(role) for role in stream.roles) + epoch
