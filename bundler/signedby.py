"""A spec's ``policy`` at work: the publishers' signatures are verified before a lock is written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bundle.digest import verified
from bundle.errors import GateRefused
from bundle.transfer import resume
from bundle.upstream.check import Checker, load_keys, refusal
from bundle.upstream.record import VERIFIED, Record
from bundler.fetch import unpinned
from bundler.sources.ngc_publickey import fetch

if TYPE_CHECKING:
    from bundle.artifact import Artifact, Content
    from bundle.upstream.check import Verdict
    from bundle.upstream.policy import Policy, Rule
    from bundler.lock import Lock, LockedArtifact
    from bundler.resolve import Upstreams
    from bundler.spec import Spec

PARALLEL = 8


def enforce(lock: Lock, spec: Spec, upstreams: Upstreams) -> Lock:
    """Return the lock with what became of each artifact's signatures; unchanged without rules.

    Raises :class:`GateRefused`, which names every artifact that is not signed as the policy asks,
    and why; :class:`UsageError` for a key that is not the one that is pinned; and what reading
    signatures raises.
    """
    if not spec.policy.rules:
        return lock
    keys = load_keys(spec.policy, partial(fetch, upstreams.http))
    by_name = {locked.artifact.name: locked for locked in lock.artifacts}

    def read(artifact: Artifact, content: Content) -> bytes:
        return fetched(by_name[artifact.name], content, upstreams)

    checker = Checker(spec.policy, keys, read)
    artifacts = [locked.artifact for locked in lock.artifacts]
    for pattern in spec.policy.idle(artifacts):
        upstreams.warn(f"{spec.path}: require-signature: nothing is called {pattern}")
    with ThreadPoolExecutor(PARALLEL, "signatures") as pool:
        verdicts = list(pool.map(checker.check, artifacts))
    if refused := refusal(verdicts, str(spec.path)):
        raise refused
    return replace(lock, artifacts=tuple(map(_recorded, lock.artifacts, verdicts)))


def _recorded(locked: LockedArtifact, verdict: Verdict) -> LockedArtifact:
    return replace(locked, artifact=replace(locked.artifact, upstream=verdict.record))


def fetched(locked: LockedArtifact, content: Content, upstreams: Upstreams) -> bytes:
    """Return a small content of the lock, checked by its digest; raises what reading raises."""
    source, what = (
        locked.sources[content.digest],
        f"{content.digest.short} of {locked.artifact.name}",
    )
    if source.text is not None:
        return source.text.encode()
    sleep, size = upstreams.http.sleep, content.size
    with unpinned(what):
        blocks = resume(upstreams.opener(locked, source), size=size, what=what, sleep=sleep)
        return b"".join(verified(blocks, digest=content.digest, size=size, what=what))


def check_recorded(lock: Lock, spec: Spec) -> None:
    """Raise :class:`GateRefused` for a lock that does not say that the spec's policy holds.

    The lock is believed: whoever can write it can write the spec. This is against one that was
    edited, or merged, by somebody who did not think of the policy.
    """
    for locked in lock.artifacts:
        for rule in spec.policy.rules_for(locked.artifact):
            if not _holds(rule, locked.artifact.upstream, spec.policy):
                raise GateRefused(
                    f"the lock does not say that {locked.artifact.name} is signed as "
                    f"{spec.path} requires",
                    hint=f"dray lock --update {spec.path} verifies the signatures",
                )


def _holds(rule: Rule, record: Record | None, policy: Policy) -> bool:
    if record is None or record.result != VERIFIED:
        return False
    pinned = {key.name: key.fingerprint for key in policy.keys}
    return any(
        proof.key in (rule.keys or pinned) and pinned.get(proof.key, "") in {"", proof.fingerprint}
        for proof in record.proofs
    )
