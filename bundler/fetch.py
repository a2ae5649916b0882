"""One pass for a blob: network, chunk, hash, by as many connections as are free for it."""

from __future__ import annotations

import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bundle.errors import DrayError, PartlyDone, SourceError, TransferError, VerificationError
from bundle.transfer import resume
from bundle.whole import Unranged
from bundler.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from bundler.journal import Journal
    from bundler.packing import Piece
    from bundler.ranges import Claim
    from bundler.sink import Cursor, Sink
    from bundler.sources.base import OpenAt

    _Opened = Callable[[int, int], AbstractContextManager[Iterator[bytes]]]
    _Sleep = Callable[[Claim, float], None]

MARK_BYTES = 32 << 20
MARK_SECONDS = 1.0
CATCH_UP = 8
"""Blocks that were written ahead and are hashed after one that has arrived, at most."""
REFUSALS = 3
"""How many connections beside the first may fail until a blob is left to that one."""
LONGEST_WAIT = 2.0
"""Seconds that a connection beside the first waits before it tries again; else it is given up."""


class Stop(PartlyDone):
    """The run was told to stop."""

    def __init__(self) -> None:
        super().__init__("interrupted", hint="run the same command again: what is written is kept")


def check(stop: threading.Event) -> None:
    """Raise :class:`Stop` when the run was told to stop."""
    if stop.is_set():
        raise Stop


def pause(stop: threading.Event) -> Callable[[float], None]:
    """Return a function that sleeps some seconds, and raises :class:`Stop` as soon as told to."""

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise Stop

    return sleep


class OtherBytes(SourceError):
    """The upstream has other bytes than are pinned."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A piece that is in its chunk, its CRC-32, and how often its blob was begun again before."""

    piece: Piece
    crc: int
    turn: int


class Fetching:
    """One attempt to fetch a blob from one source: :meth:`run` in one thread, helpers in others.

    The thread that runs it decides what becomes of the blob. A helper that fails gives back what it
    has not fetched and is gone; a server that has no ranges, or has another file by now, is left to
    one connection.
    """

    def __init__(
        self,
        open_at: OpenAt,
        sink: Sink,
        *,
        what: str,
        journal: Journal,
        stop: threading.Event,
        on_bytes: Callable[[int], object],
        on_piece: Callable[[Ended], object] = lambda _ended: None,
    ) -> None:
        """Prepare it; ``on_piece`` hears of each piece but the last: with that the blob is done."""
        self._open_at, self._sink, self._what = open_at, sink, what
        self._on_piece = on_piece
        sink.on_end = self._piece_ended
        self._journal, self._stop, self._on_bytes = journal, stop, on_bytes
        self._ranges = Ranges(sink.size)
        self._hashing = threading.Lock()
        self._marking = threading.Lock()
        self._marked, self._when = 0, time.monotonic()
        self._fault: BaseException | None = None
        self._refused = 0
        self._helpers = self._expected = 0
        self._mixed = self._alone = False
        self._flowing = False

    # -- the thread that runs it ------------------------------------------------------------------

    def run(self) -> tuple[int, ...]:
        """Fetch the blob and return the CRC-32 of each piece, for the reading back.

        Raises :class:`SourceError` when the upstream fails, or has other bytes than are pinned:
        nothing of it is recorded as done.
        """
        self._recover()
        try:
            self._pass()
        except OtherBytes:
            if not self._mixed:
                raise
            # What an earlier run, or another upstream, has left may be what is wrong; so may be
            # ranges of a file that was changed in between.
            self._begin_again()
            self._pass()
        return self._sink.finish()

    def _recover(self) -> None:
        """Hash what an earlier run wrote without a gap, and take what it wrote behind that."""
        digest = self._sink.digest
        count = min(self._journal.reached.get(digest, 0), self._sink.size)
        while self._sink.position < count:
            check(self._stop)
            if not self._sink.read_on(count - self._sink.position):
                break  # the file is shorter than the journal says: the rest is fetched again
        if self._sink.position < count:
            self._journal.write(undone=digest)
            self._sink.reopen()
        self._ranges.add([(0, self._sink.position)])
        if self._sink.position == count:
            self._ranges.add(self._journal.ahead.get(digest, ()))
        self._mixed = self._ranges.count > 0
        self._marked = self._ranges.count

    def _begin_again(self) -> None:
        self._marked, self._alone, self._fault = 0, True, None
        with self._hashing:
            self._sink.rewind()
            self._ranges = Ranges(self._sink.size)

    def _pass(self) -> None:
        """Fetch what is not written yet; whatever fails, the journal knows how far that came."""
        self._on_bytes(self._ranges.count)
        try:
            with unpinned(self._what):
                while claim := self._next():
                    self._fetch(claim, self._range_or_rest, self._wait)
                self._hash_rest()
            if self._sink.whole.hexdigest() != self._sink.digest.hex:
                raise other_bytes(
                    f"{self._what}: upstream sent other bytes than {self._sink.digest}"
                )
        except OtherBytes:
            self._end()
            self._journal.write(undone=self._sink.digest)
            self._on_bytes(-self._ranges.count)
            raise
        except (SourceError, Stop):
            self._end()
            if self._ranges.count > self._marked:
                self._mark(self._ranges)
            self._on_bytes(-self._ranges.count)
            raise
        finally:
            self._end()

    def _end(self) -> None:
        """Return when no other thread touches the chunks any more."""
        self._ranges.end()
        with self._hashing:
            pass

    def _next(self) -> Claim | None:
        """Return what to fetch next; wait while others fetch the rest."""
        ranges = self._ranges
        while True:
            check(self._stop)
            if self._fault:
                raise self._fault
            if claim := ranges.take(self._sink.position, self._sharing):
                return claim
            with ranges.changed:
                if ranges.count == self._sink.size:
                    return None
                ranges.changed.wait(0.2)

    @property
    def _sharing(self) -> int:
        if self._alone or not self._helpers:
            return 1
        return max(self._expected, self._helpers + 1)

    @contextmanager
    def _range_or_rest(self, offset: int, end: int) -> Iterator[Iterator[bytes]]:
        """Open a range, or, where there is no need for an end or no way to have one, the rest."""
        if end < self._sink.size and not self._alone:
            try:
                with self._open_at(offset, end) as blocks:
                    yield blocks
                return
            except Unranged:
                self._alone = True
        with self._open_at(offset) as blocks:
            yield blocks

    def _hash_rest(self) -> None:
        with self._hashing:
            while self._sink.position < self._sink.size:
                check(self._stop)
                if not self._sink.read_on(self._sink.size - self._sink.position):
                    raise other_bytes(f"{self._what}: what was written of it is gone")

    # -- helpers ----------------------------------------------------------------------------------

    def claim(self, expected: int = 2) -> Claim | None:
        """Return what one more connection could fetch, to be passed to :meth:`help`.

        ``expected`` is how many connections will share the blob.
        """
        ranges = self._ranges  # before the look at what forbids it: these may be the last pass's
        if self._alone or not self._flowing or self._refused >= REFUSALS or self._fault:
            return None
        self._expected = expected
        claim = ranges.take(self._sink.position, max(expected, self._helpers + 2))
        if claim:
            self._count(1)
            self._mixed = True
        return claim

    def _count(self, change: int) -> None:
        with self._ranges.changed:
            self._helpers += change
            self._ranges.changed.notify_all()

    def help(self, given: Claim) -> None:
        """Fetch a claim, and more as long as there is more."""
        ranges = given.ranges
        claim: Claim | None = given
        try:
            while claim:
                self._fetch(claim, self._open_at, self._wait_briefly)
                claim = ranges.take(self._sink.position, self._sharing)
        except Unranged:
            self._alone = True
            ranges.widen()
        except (SourceError, Stop, _LeaveError):
            self._refused += 1
        except BaseException as fault:
            self._fault = fault
        finally:
            self._count(-1)

    # -- every connection -------------------------------------------------------------------------

    def _fetch(self, claim: Claim, opened: _Opened, sleep: _Sleep) -> None:
        """Write what a claim has, and hash along."""

        def open_at(offset: int) -> AbstractContextManager[Iterator[bytes]]:
            if not claim.left:
                raise _TakenError
            return opened(offset, claim.end)

        blocks = resume(
            open_at,
            size=self._sink.size,
            start=claim.position,
            what=self._what,
            sleep=partial(sleep, claim),
        )
        try:
            with closing(blocks), self._sink.cursor(claim.position) as cursor:
                for block in blocks:
                    if block and not self._take(claim, cursor, block):
                        break
        except _TakenError:
            pass
        finally:
            claim.ranges.leave(claim)

    def _take(self, claim: Claim, cursor: Cursor, block: bytes) -> bool:
        """Write and hash a block; return whether more of the claim's connection is wanted."""
        ranges = claim.ranges
        view = memoryview(block)[: ranges.begin(claim, len(block))]
        if not view:
            return False
        at, count = claim.position, 0
        try:
            cursor.write(view)
            count = len(view)
        finally:
            ranges.wrote(claim, count)
        self._flowing = True
        self._on_bytes(count)
        self._hash_behind(ranges, view, at)
        check(self._stop)
        if self._fault:
            raise self._fault
        self._mark_on_the_way(ranges)
        # To the end of the blob the answer is read on: it has no byte more than is pinned.
        return claim.left > 0 or claim.end == self._sink.size

    def _hash_behind(self, ranges: Ranges, view: memoryview, at: int) -> None:
        """Hash a block that was just written, if it is its turn, and some of what follows it."""
        if not self._hashing.acquire(blocking=False):
            return  # whoever does it comes by this block, too
        try:
            if ranges.ended or ranges is not self._ranges:
                return
            if self._sink.position == at:
                self._sink.hash(view)
            for _ in range(CATCH_UP):
                behind = ranges.front(self._sink.position) - self._sink.position
                if not behind or not self._sink.read_on(behind):
                    return
        finally:
            self._hashing.release()

    def _piece_ended(self, number: int) -> None:
        """Complete a piece, so that its chunk can be read back before the blob is whole."""
        piece, digest = self._sink.pieces[number], self._sink.digest
        self._sink.close_piece(number)
        if self._sink.position > self._journal.reached.get(digest, 0):
            with self._marking:  # a run that goes on must not write what was read back
                self._mark(self._ranges)
        self._on_piece(Ended(piece, self._sink.crcs[number], self._journal.turns[digest]))

    def _mark_on_the_way(self, ranges: Ranges) -> None:
        with self._marking:
            new = ranges.count - self._marked
            late = time.monotonic() - self._when > MARK_SECONDS
            if new >= MARK_BYTES or (late and new > 0):
                self._mark(ranges)

    def _mark(self, ranges: Ranges) -> None:
        """Note in the journal what is written."""
        extents = self._sink.settled(ranges.extents)
        reached = extents[0][1] if extents and extents[0][0] == 0 else 0
        ahead = [list(extent) for extent in extents if extent[0] >= reached and extent[0]]
        record: dict[str, Any] = {"at": self._sink.digest, "bytes": reached}
        self._journal.write(**record, **({"ahead": ahead} if ahead else {}))
        self._marked = sum(end - start for start, end in extents)
        self._when = time.monotonic()

    def _wait(self, claim: Claim, seconds: float) -> None:
        """Pause, or for as long as nobody takes the claim over."""
        until, changed = time.monotonic() + seconds, claim.ranges.changed
        with changed:
            while claim.left and (rest := until - time.monotonic()) > 0:
                check(self._stop)
                changed.wait(min(rest, 0.2))
        check(self._stop)

    def _wait_briefly(self, claim: Claim, seconds: float) -> None:
        if seconds > LONGEST_WAIT:
            raise _LeaveError
        self._wait(claim, seconds)


class _TakenError(Exception):
    """Another connection has taken over what was left."""


class _LeaveError(Exception):
    """The upstream asks for a long pause: one connection waits for that, not all."""


def other_bytes(message: str, *, hint: str = "") -> OtherBytes:
    """Return the failure of an upstream that does not have what is pinned."""
    usual = "run again; if it stays so, somebody between here and the upstream changes bytes"
    return OtherBytes(message, hint=hint or usual)


@contextmanager
def unpinned(what: str) -> Iterator[None]:
    """Turn what a source found wrong with its bytes, or its set-up, into a :class:`SourceError`.

    It is a failure of one artifact: neither of the medium, nor of what was signed.
    """
    try:
        yield
    except VerificationError as error:
        message = error.message if error.message.startswith(what) else f"{what}: {error.message}"
        raise other_bytes(message) from None
    except (PartlyDone, TransferError):
        raise
    except DrayError as error:
        raise SourceError(error.message, hint=error.hint) from None
