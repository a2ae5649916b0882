"""What every source is: it pins entries of the spec as artifacts, then opens their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bundle.transfer import OpenRange
    from bundler.lock import LockedArtifact, LockedContent

    OpenAt = OpenRange


class Source(Protocol):
    """Opens the bytes of what one kind of origin has locked. Called from several threads."""

    def opener(self, artifact: LockedArtifact, content: LockedContent) -> OpenAt:
        """Return a function that opens the content at an offset, in bytes, for one attempt.

        It is called from several threads at once when ranges are fetched in parallel. The
        iterator yields blocks of about 1 MiB. A failure that may pass raises
        :class:`bundle.http.Interrupted`; a final one, a :class:`bundle.errors.SourceError`.
        Nothing is verified here: the caller hashes what it gets.
        """
        ...

    def close(self) -> None:
        """Let connections go."""
        ...
