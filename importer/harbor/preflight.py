"""What would fail later, found before a byte is sent: all of it at once, and who must do what."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle.errors import TargetError
from bundle.progress import human
from importer.harbor import labels, robots, words
from importer.harbor.projects import UNLIMITED, name_fault
from importer.targets.ready import NotReady, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.digest import Digest
    from importer.harbor.client import About, Harbor
    from importer.harbor.policies import Policy
    from importer.harbor.projects import Project, Right

FLOOR = (2, 8)
"""The oldest Harbor whose registry has referrers and whose charts are OCI artifacts alone."""
CHECKED = (2, 11)
"""The oldest whose API was read; what is between may work."""
S3_LAYER = 10_000 * (10 << 20)
"""Bytes of the largest blob that a registry on S3 takes as it is set up by default: 10,000 parts of
10 MiB (distribution, registry/storage/driver/s3-aws/s3.go; harbor issue 18888)."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that an import will set."""

    repository: str
    tag: str
    digest: Digest


@dataclass
class Load:
    """What one project is to take: bytes that it lacks, and tags."""

    bytes: int = 0
    tags: list[Tag] = field(default_factory=list)
    largest: int = 0
    """Bytes of the largest blob that it lacks."""


@dataclass(frozen=True, slots=True)
class State:
    """A project as it was found: ``project`` is unset where it may not be read.

    ``exists`` is unset where this login is not told.
    """

    exists: bool | None
    project: Project | None = None
    rights: frozenset[Right] = frozenset()

    def may(self, action: str) -> bool:
        """Whether the login may do something with its repositories."""
        return ("repository", action) in self.rights


class Preflight:
    """The questions about one Harbor; each project is asked about once, by whatever thread."""

    def __init__(self, harbor: Harbor, policy: Policy) -> None:
        self.harbor = harbor
        self.policy = policy
        self.host = harbor.api.host
        self._states: dict[str, State] = {}
        self._lock = threading.Lock()
        self._about: About | None = None

    def reach(self) -> None:
        """Have it answer as a Harbor, and know the login; raise :class:`TargetError` at once.

        Nothing else can be asked of one that does not.
        """
        self.harbor.ping()
        login = self.harbor.api.credentials
        if login is None or not login.password:
            what = "only an identity token, which it does not take, is" if login else "none is"
            raise TargetError(
                f"{self.host} wants a login, and {what} configured for it",
                hint=f"docker login {self.host}; `dray harbor init` makes a robot for it",
                case="denied",
            )
        if not self.harbor.is_known():
            raise TargetError(
                f"{self.host} does not accept the login {login.username} from {login.origin}",
                hint=words.LOGIN,
                case="denied",
            )

    @property
    def about(self) -> About:
        """What the Harbor says of itself."""
        if self._about is None:
            self._about = self.harbor.about()
        return self._about

    def state(self, name: str) -> State:
        """Return how a project was found."""
        with self._lock:
            if name not in self._states:
                self._states[name] = self._look(name)
            return self._states[name]

    def forget(self, name: str) -> None:
        """Ask again about a project."""
        with self._lock:
            self._states.pop(name, None)

    def run(self, loads: Mapping[str, Load]) -> tuple[str, ...]:
        """Return notes about what these projects are to take; raise :class:`NotReady`."""
        problems, notes = self._system(), self._about_version()
        for name, load in sorted(loads.items()):
            found = self._project(name, load, notes)
            problems += found
        if problems:
            raise NotReady(self.host, problems)
        return (*notes, *self._storage(max((load.largest for load in loads.values()), default=0)))

    # -- the system -------------------------------------------------------------------------------

    def _system(self) -> list[Problem]:
        found: list[Problem] = []
        if (0, 0) < self.about.numbers < FLOOR:
            floor = ".".join(map(str, FLOOR))
            found.append(
                Problem(
                    f"{self.host} is Harbor {self.about.version}",
                    f"a system administrator has to update it to {floor} or newer",
                )
            )
        for name, why in self.harbor.unhealthy().items():
            found.append(
                Problem(
                    f"the {name} of {self.host} is not healthy ({why[:100]})",
                    "its operator has to repair it first; see /api/v2.0/health",
                )
            )
        if self.about.read_only:
            found.append(
                Problem(
                    f"{self.host} is in read-only mode",
                    "a system administrator has to end it (Configuration > System Settings);"
                    " garbage collection may have set it",
                )
            )
        return found

    def _about_version(self) -> list[str]:
        if FLOOR <= self.about.numbers < CHECKED:
            return [f"{self.host} is Harbor {self.about.version}, which is no longer maintained"]
        return []

    def _storage(self, largest: int) -> list[str]:
        if self.about.storage != "s3" or largest <= S3_LAYER:
            return []
        return [
            f"{self.host} keeps blobs in S3: with its default chunksize a layer may have"
            f" {human(S3_LAYER)}, and one here has {human(largest)}: its operator has to set more"
        ]

    # -- one project ------------------------------------------------------------------------------

    def _look(self, name: str) -> State:
        exists = self.harbor.projects.exists(name)
        project = None if exists is False else self.harbor.projects.get(name)
        if project is None:
            return State(exists)
        return State(True, project, self.harbor.projects.rights(project))

    def _project(self, name: str, load: Load, notes: list[str]) -> list[Problem]:
        if fault := name_fault(name):
            return [Problem(f"no project can be called {name!r}", f"its name {fault}")]
        state = self.state(name)
        if state.exists is False:
            return self._missing(name, load, notes)
        if state.exists is None:
            return self._unseen(name, notes)
        who = self.harbor.api.who
        if state.project is None:
            # Harbor says 403 to both; a robot with push and without project:read is one of them.
            return [
                Problem(
                    f"{who} may not read the project {name} of {self.host}",
                    f"the administrator of {name} has to make it a member (Developer), or to give"
                    " the robot what `dray harbor init` prints",
                )
            ]
        if state.project.is_proxy:
            return [
                Problem(
                    f"the project {name} of {self.host} is a proxy cache, which takes no pushes",
                    "name another project, or have its administrator make one",
                )
            ]
        lacking = [action for _, action in robots.PUSH if not state.may(action)]
        found = [
            Problem(
                f"{who} may not {action} in the project {name} of {self.host}",
                f"the administrator of {name} has to give it repository:{action}; `dray harbor"
                " init` prints a robot that has it",
            )
            for action in lacking
        ]
        if ("artifact", "read") not in state.rights and _blocks_pulls(state.project):
            found.append(
                Problem(
                    f"the project {name} of {self.host} blocks pulls by its policy, and {who} may"
                    " not read its artifacts: what was pushed could not be looked at",
                    f"the administrator of {name} has to give it artifact:read; `dray harbor init`"
                    " prints a robot that has it",
                )
            )
        found += self._room(name, load, notes)
        found += self._kept(name, load, state, notes)
        self._policies(state.project, notes)
        if self.policy.labels and not state.rights >= labels.RIGHTS:
            notes.append(
                f"{who} may not label what is in {name}: none of it has a label with the bundle"
            )
        return found

    def _missing(self, name: str, load: Load, notes: list[str]) -> list[Problem]:
        hint = f"a system administrator has to create {name}, and give {self.harbor.api.who} push"
        message = f"{self.host} has no project {name}"
        if not self.policy.creates:
            return [Problem(f"{message}, and create: false forbids to make it", hint)]
        if why := self._cannot_create():
            return [Problem(f"{message}, and {why}", hint)]
        if self.policy.quota is not None and load.bytes > self.policy.quota:
            return [
                Problem(
                    f"{message}, and the quota for new ones, {human(self.policy.quota)}, is less"
                    f" than the {human(load.bytes)} to come",
                    "raise quota: in the target file",
                )
            ]
        public = self.policy.metadata.get("public") == "true"
        notes.append(f"the project {name} will be created, {'public' if public else 'private'}")
        return []

    def _unseen(self, name: str, notes: list[str]) -> list[Problem]:
        """Tell of a project that is hidden from this login, whether it is there or not."""
        who = self.harbor.api.who
        if self.policy.creates and not self._cannot_create():
            notes.append(f"{self.host} does not tell {who} of {name}: it is created if it is none")
            return []
        return [
            Problem(
                f"{who} may not read the project {name} of {self.host}, or there is none",
                f"the administrator of {name} has to make it a member (Developer), or to give the"
                " robot what `dray harbor init` prints; a system administrator can create it",
            )
        ]

    def _cannot_create(self) -> str:
        who = self.harbor.api.who
        is_sysadmin = self.harbor.is_sysadmin()
        if is_sysadmin is None:  # a robot: only one of the system may be allowed to
            return f"{who} is the robot of another project" if "+" in who else ""
        if self.about.creation == "adminonly" and not is_sysadmin:
            return "only system administrators may create projects there"
        return ""

    def _room(self, name: str, load: Load, notes: list[str]) -> list[Problem]:
        quota = self.harbor.projects.quota(name)
        if quota is None:
            notes.append(
                f"the quota of {name} may not be read by {self.harbor.api.who}, and is not checked"
            )
            return []
        left = quota.limit - quota.used
        if quota.limit == UNLIMITED or load.bytes <= left:
            return []
        return [
            Problem(
                f"{human(load.bytes)} are to be added to the project {name} of {self.host}, which"
                f" has room for {human(max(left, 0))} of its quota of {human(quota.limit)}",
                f"a system administrator has to raise the quota by {load.bytes - left} bytes or"
                " more, or its administrator has to delete something and collect garbage",
            )
        ]

    def _kept(self, name: str, load: Load, state: State, notes: list[str]) -> list[Problem]:
        """Find tags that a rule keeps as they are, and that are something else there."""
        rules = self.harbor.projects.immutable_rules(name)
        if rules is None and load.tags:
            notes.append(
                f"the immutable tags of {name} may not be read by {self.harbor.api.who}: a tag that"
                " may not be moved is found only when it is pushed"
            )
        if not rules or not state.may("pull"):
            return []
        found = []
        for tag in load.tags:
            inside = tag.repository.partition("/")[2]
            if not any(rule.holds(inside, tag.tag) for rule in rules):
                continue
            before = self.harbor.artifacts.get(tag.repository, tag.tag)
            if before is None or before.digest == tag.digest:
                continue  # the same digest under a tag that may not be moved is what is wanted
            found.append(
                Problem(
                    f"{self.host}/{tag.repository}:{tag.tag} may not be moved, and is"
                    f" {before.digest.short} there, not {tag.digest.short}",
                    f"the administrator of {name} has to exempt it from the rule (Policy > Tag"
                    " Immutability), or it has to get another name by map: in the target file",
                )
            )
        return found

    def _policies(self, project: Project, notes: list[str]) -> None:
        metadata, name = project.metadata, project.name
        if metadata.get("prevent_vul") == "true":
            severity = metadata.get("severity") or "low"
            notes.append(
                f"{name} blocks pulls of images that were not scanned, or are {severity} and worse"
            )
        for key, how in (
            ("enable_content_trust", "notation"),
            ("enable_content_trust_cosign", "cosign"),
        ):
            if metadata.get(key) == "true":
                notes.append(f"{name} blocks pulls of images without a signature by {how}")
        if metadata.get("retention_id"):
            notes.append(
                f"{name} has a retention policy: it may delete what this import brings, or what a"
                " later bundle takes for granted"
            )


def _blocks_pulls(project: Project) -> bool:
    keys = ("prevent_vul", "enable_content_trust", "enable_content_trust_cosign")
    return any(project.metadata.get(key) == "true" for key in keys)
