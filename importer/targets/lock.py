"""Object lock (WORM): what a target file asks for, and whether the store has really done it.

Stores that know nothing of locks answer 200 to a request for one, and some keep the request's words
and give them back. So nothing counts as locked before the store was asked for its retention.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.errors import TargetError

if TYPE_CHECKING:
    from bundle.decode import Fields
    from importer.targets.bucket import Bucket, Seen
    from importer.targets.s3check import Preflight

GOVERNANCE, COMPLIANCE = MODES = ("governance", "compliance")
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOST_DAYS = 36500
_NONE = frozenset(
    {"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest"}
)
"""How stores say that an object is not locked: Amazon's words, Ceph's, and those for a bucket."""


@dataclass(frozen=True, slots=True)
class Lock:
    """How long nobody may remove what is written: ``days`` from its writing, or ``until``.

    ``mode`` empty asks for no retention. ``hold`` is a legal hold, which has no end.
    """

    mode: str = ""
    days: int = 0
    until: datetime | None = None
    hold: bool = False

    @property
    def asked(self) -> bool:
        """Whether anything is to be locked at all."""
        return bool(self.mode or self.hold)

    def end(self, now: datetime) -> datetime:
        """Return until when an object that is written now is locked.

        Whole days end with the next midnight (UTC), so that no upload of some hours comes short.
        """
        if self.until:
            return self.until
        later = now.astimezone(UTC) + timedelta(days=self.days + 1)
        return later.replace(hour=0, minute=0, second=0, microsecond=0)

    def owed(self, modified: datetime) -> datetime:
        """Return until when an object that was written at ``modified`` has to be locked."""
        return self.until or modified.astimezone(UTC) + timedelta(days=self.days)

    def arguments(self, now: datetime, *, hold: bool = True) -> dict[str, Any]:
        """Return the arguments of ``PutObject`` and ``CreateMultipartUpload``."""
        found: dict[str, Any] = {}
        if self.mode:
            found["ObjectLockMode"] = self.mode.upper()
            found["ObjectLockRetainUntilDate"] = self.end(now)
        if self.hold and hold:
            found["ObjectLockLegalHoldStatus"] = "ON"
        return found


UNLOCKED = Lock()
"""What is written may be removed again."""


def read(fields: Fields) -> Lock:
    """Return what ``lock:`` of a target file says; raise :class:`bundle.errors.UsageError`."""
    hold = fields.flag("legal-hold") if "legal-hold" in fields else False
    mode = fields.text("mode", choices=MODES) if "mode" in fields else ""
    days = fields.integer("days", low=1, high=_MOST_DAYS) if "days" in fields else 0
    until = _day(fields) if "until" in fields else None
    fields.done(("mode", "days", "until", "legal-hold"))
    if not mode and (days or until):
        raise fields.wrong("mode", "is missing", "allowed: " + ", ".join(MODES))
    if mode and bool(days) == bool(until):
        raise fields.wrong("days", "or until: has to say for how long, one of the two")
    if not mode and not hold:
        raise fields.wrong("mode", "is missing, and no legal-hold either", "leave lock: out")
    return Lock(mode, days, until, hold)


def _day(fields: Fields) -> datetime:
    text = fields.text("until", pattern=_DAY)
    try:
        day = instant.parse(f"{text}T00:00:00Z")
    except ValueError:
        raise fields.wrong("until", f"is no day: {text}", "write 2031-01-31") from None
    if day <= instant.now():
        raise fields.wrong("until", f"is {text}, which has begun already")
    return day


class Keeper:
    """Makes sure that objects are locked as they should be, and asks the store whether they are."""

    def __init__(self, bucket: Bucket, preflight: Preflight) -> None:
        self._bucket = bucket
        self._preflight = preflight
        self._lock = bucket.store.lock

    def keep(self, key: str, seen: Seen) -> None:
        """Have an object locked at least as asked, and prove it; raise :class:`TargetError`.

        A shorter retention is extended: a store may take one with an upload and forget it (Ceph 16
        does so with uploads in parts), and an earlier import may have asked for less.
        """
        if not self._preflight.lockable:
            raise self._ignored(key, "has no object lock in this bucket")
        if self._lock.mode:
            self._retain(key, seen)
        if self._lock.hold and not self._held(key, seen.version):
            status = {"LegalHold": {"Status": "ON"}}
            self._bucket.call("put_object_legal_hold", key, **status, **_of(seen))
            if not self._held(key, seen.version):
                raise self._ignored(key, "shows no legal hold")

    def _retain(self, key: str, seen: Seen) -> None:
        owed, wanted = self._lock.owed(seen.modified), self._lock.mode
        mode, until = self._retention(key, seen)
        if mode == GOVERNANCE and wanted == COMPLIANCE:
            raise TargetError(
                f"{self._where(key)} is locked in governance mode, and compliance is asked for",
                hint="who has s3:BypassGovernanceRetention must change its mode; dray never does",
                case="lock",
            )
        if mode and until and until >= owed:
            return
        end = max(owed, self._lock.end(instant.now()))
        kept = {"Mode": (mode or wanted).upper(), "RetainUntilDate": end}
        self._bucket.call("put_object_retention", key, Retention=kept, **_of(seen))
        mode, until = self._retention(key, seen)
        if mode not in {wanted, COMPLIANCE} or until is None or until < owed:
            raise self._ignored(key, f"shows {_spelled(mode, until)}")

    def _retention(self, key: str, seen: Seen) -> tuple[str, datetime | None]:
        """Return mode and end of an object's retention; nothing where it has none."""
        try:
            answer = self._bucket.call("get_object_retention", key, **_of(seen))
        except TargetError as error:
            if error.case in _NONE:
                return "", None
            raise
        found = answer.get("Retention") or {}
        until = found.get("RetainUntilDate")
        mode = str(found.get("Mode", "")).lower()
        if mode not in MODES or not isinstance(until, datetime):
            return "", None
        return mode, until.replace(tzinfo=until.tzinfo or UTC)

    def _held(self, key: str, version: str) -> bool:
        named = {"VersionId": version} if version else {}
        try:
            answer = self._bucket.call("get_object_legal_hold", key, **named)
        except TargetError as error:
            if error.case in _NONE:
                return False
            raise
        return (answer.get("LegalHold") or {}).get("Status") == "ON"

    def _where(self, key: str) -> str:
        return f"s3://{self._bucket.store.bucket}/{key}"

    def _ignored(self, key: str, shows: str) -> TargetError:
        return TargetError(
            f"{self._where(key)} is not locked as it was asked for: the store {shows}",
            hint="its administrator has to tell whether it has object lock; readers find no marker",
            case="lock",
        )


def _of(seen: Seen) -> dict[str, str]:
    return {"VersionId": seen.version} if seen.version else {}


def _spelled(mode: str, until: datetime | None) -> str:
    return f"{mode} until {instant.spell(until)}" if mode and until else "no retention"
