"""Harbor as target: asked through its API before a byte is sent, then pushed to as a registry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bundle.errors import DrayError, TargetError, UsageError
from bundle.registry import Registry
from importer.harbor import labels, setup, words
from importer.harbor.client import Harbor
from importer.harbor.pace import SMALL, Pace
from importer.harbor.policies import Policy
from importer.harbor.preflight import Load, Preflight, Tag
from importer.harbor.projects import name_fault
from importer.harbor.wire import HarborHttp
from importer.ledger.shelf import RegistryShelf
from importer.targets.registry import KINDS, RegistryTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bundle.artifact import Artifact, Content
    from bundle.credentials import Credentials
    from bundle.digest import Digest
    from bundle.http import Http
    from bundle.manifest import Manifest
    from bundle.refusals import Refused
    from bundle.sessions import Sessions
    from importer.destinations import Destination
    from importer.targets.base import Blob, Want
    from importer.targets.naming import Naming

_PROBES = 8


def connect(
    destination: Destination, credentials: Credentials | None, sessions: Sessions | None = None
) -> HarborTarget:
    """Return the target that a destination names; no connection is made yet."""
    pace = Pace(destination.connections)
    known = {destination.name: destination.host}
    http = HarborHttp(known, sleep=pace.pause)
    return HarborTarget(
        destination.name,
        http,
        credentials,
        pace,
        naming=destination.naming,
        kinds=destination.kinds,
        policy=destination.policy,
        sessions=sessions,
    )


class HarborTarget(RegistryTarget):
    """Projects of one Harbor; satisfies :class:`importer.targets.base.Target`.

    ``http`` raises :class:`TargetError`, pauses by ``pace``, and is closed with the target.
    """

    def __init__(
        self,
        host: str,
        http: Http,
        credentials: Credentials | None,
        pace: Pace,
        *,
        naming: Naming,
        kinds: frozenset[str] = KINDS,
        policy: Policy | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        registry = Registry(host, http, credentials, self._explain, basic=True, sessions=sessions)
        super().__init__(host, http, naming=naming, kinds=kinds, registry=registry)
        self.label = f"{host}/{naming.top}"
        self.workers = pace.most
        self._pace = pace
        self._harbor = Harbor(host, http, credentials)
        self._policy = policy or Policy()
        self._preflight = Preflight(self._harbor, self._policy)
        self._bundle = ""
        self._needed: dict[str, Load] = {}
        self._said: list[str] = []
        self._unlabelled: set[str] = set()

    @property
    def harbor(self) -> Harbor:
        """The calls of its API."""
        return self._harbor

    def repository(self, artifact: Artifact) -> str:
        """Return ``project/name`` of an artifact."""
        return self._repository(artifact)

    @property
    def notes(self) -> Sequence[str]:
        """What did not go as wished, and harmed nothing."""
        return self._said

    # -- before -----------------------------------------------------------------------------------

    def check(self) -> None:
        """Reach Harbor, and have the login accepted."""
        self._preflight.reach()

    def preflight(self, wants: Sequence[Want]) -> tuple[str, ...]:
        """Ask for health, mode, projects, rights, room and tags; see :class:`Preflight`."""
        self._needed = self._loads(wants)
        return self._preflight.run(self._needed)

    def ask(self) -> dict[str, Any]:
        """Run the preflight of no bundle at all; return what was found, for people and machines."""
        projects = setup.projects(self._naming)
        notes = self._preflight.run({name: Load() for name in projects})
        about = {"host": self._host, "version": self._preflight.about.version}
        about["login"] = self._harbor.api.who
        return {**about, "projects": list(projects), "notes": list(notes)}

    def prepare(self, bundle: Manifest) -> None:
        """Create the projects that are missing."""
        self._bundle = bundle.name
        for name in sorted(self._needed):
            if self._preflight.state(name).exists:
                continue
            made = self._harbor.projects.create(name, self._policy.metadata, self._policy.quota)
            self._preflight.forget(name)
            if not self._preflight.state(name).may("push"):
                who, how = self._harbor.api.who, "was created" if made else "is there"
                raise TargetError(
                    f"the project {name} of {self._host} {how}, and {who} may not push there",
                    hint=f"its administrator has to give {who} repository:push and pull there",
                    case="denied",
                )

    def _loads(self, wants: Sequence[Want]) -> dict[str, Load]:
        """Return what each project lacks: each digest once, as Harbor counts it."""
        found: dict[str, Load] = {}
        sizes: dict[str, dict[Digest, int]] = {}
        there: dict[str, set[Digest]] = {}
        asked: list[tuple[str, Artifact, Content]] = []
        for want in wants:
            repository = self._repository(want.artifact)
            project = repository.partition("/")[0]
            load = found.setdefault(project, Load())
            lacks = {content.digest for content in want.missing}
            for content in want.artifact.contents:
                load.tags += [Tag(repository, tag, content.digest) for tag in content.tags]
                if content.role in {"manifest", "index"}:
                    asked.append((project, want.artifact, content))
                elif content.digest in lacks:
                    sizes.setdefault(project, {})[content.digest] = content.size
                else:
                    there.setdefault(project, set()).add(content.digest)
        with ThreadPoolExecutor(_PROBES) as pool:
            known = list(pool.map(lambda one: self.has(one[1], one[2]), asked))
        for (project, _artifact, content), has in zip(asked, known, strict=True):
            if not has:
                sizes.setdefault(project, {})[content.digest] = content.size
        for project, load in found.items():
            held = there.get(project, set())
            lacking = [s for digest, s in sizes.get(project, {}).items() if digest not in held]
            load.bytes, load.largest = sum(lacking), max(lacking, default=0)
        return found

    # -- what is there ----------------------------------------------------------------------------

    def _repository(self, artifact: Artifact) -> str:
        repository = super()._repository(artifact)
        project, slash, rest = repository.partition("/")
        rename = "give it another name with a map: rule in a target file"
        if not slash:
            raise UsageError(
                f"{artifact.name} would be {repository!r} at {self._host}, which names a project"
                " and no repository in it",
                hint=rename,
            )
        if fault := name_fault(project):
            raise UsageError(
                f"{artifact.name} would be in {project!r}: its name {fault}", hint=rename
            )
        name = artifact.repository.rpartition("/")[2]
        if artifact.kind == "chart" and rest.rpartition("/")[2] != name:
            raise UsageError(
                f"the chart {artifact.name} cannot be called {rest!r}: helm wants {name!r} at the"
                " end",
                hint=rename,
            )
        return repository

    def has(self, artifact: Artifact, content: Content) -> bool:
        """Whether the artifact's repository has the content; nothing is in a missing project."""
        state = self._preflight.state(self._repository(artifact).partition("/")[0])
        return bool(state.exists) and state.may("pull") and super().has(artifact, content)

    def _tagged(self, repository: str, tag: str) -> Digest | None:
        # By the API: a policy that blocks pulls would hide what /v2 has.
        try:
            found = self._harbor.artifacts.get(repository, tag)
        except TargetError as error:
            if error.case != "denied":
                raise
            return super()._tagged(repository, tag)
        return found.digest if found else None

    # -- writing ----------------------------------------------------------------------------------

    def put(
        self, artifact: Artifact, content: Content, blob: Blob, on_bytes: Callable[[int], object]
    ) -> str:
        """Mount or upload a blob, when it is its turn."""
        with self._pace.turn(small=content.size <= SMALL):
            return super().put(artifact, content, blob, on_bytes)

    def publish(self, artifact: Artifact, blob: Callable[[Digest], Blob]) -> bool:
        """Push manifests by digest, then tags; then label what is new."""
        with self._pace.turn(small=True):
            changed = super().publish(artifact, blob)
        if changed and self._policy.labels and self._bundle:
            self._note(artifact)
        return changed

    def _note(self, artifact: Artifact) -> None:
        """Label an artifact with the bundle that brought it; a label is worth no failed import."""
        repository = self._repository(artifact)
        state = self._preflight.state(repository.partition("/")[0])
        project = state.project
        if project is None or not state.rights >= labels.RIGHTS or project.name in self._unlabelled:
            return
        try:
            for name, about in labels.wanted(self._bundle, artifact).items():
                number = self._harbor.artifacts.label(project.id, name, about)
                self._harbor.artifacts.attach(repository, artifact.root, number)
        except TargetError as error:
            self._unlabelled.add(project.name)
            self._said.append(f"what is new in {project.name} has not all labels: {error.message}")

    def shelf(self) -> RegistryShelf:
        """Return where copies of ledgers lie: in the project of what no rule names."""
        return _Shelf(self._registry, self._naming.top, self._preflight)

    # -- refusals ---------------------------------------------------------------------------------

    def _explain(self, refused: Refused) -> TargetError | None:
        """Put a refusal of /v2 into Harbor's words; a 401 there may mean three things.

        Source: src/server/middleware/v2auth/auth.go. Only the API tells them apart.
        """
        answer, who = refused.response, self._harbor.api.who
        what = f"{refused.what} in {refused.repository}" if refused.repository else refused.what
        error = words.refusal(self._host, what, answer, who)
        project = refused.repository.partition("/")[0]
        if answer.status != 401 or not project:
            return error
        try:
            exists = self._harbor.projects.exists(project)
        except DrayError as told:
            error.hint = told.hint
            return error
        error.hint = (
            f"there is no project {project}: somebody has removed it"
            if exists is False
            else f"the administrator of {project} has to give {who} the right: `dray harbor init`"
        )
        return error


class _Shelf(RegistryShelf):
    """The ledgers' repository; a project that is not there has none."""

    def __init__(self, registry: Registry, prefix: str, preflight: Preflight) -> None:
        super().__init__(registry, prefix)
        self._project = prefix.partition("/")[0]
        self._preflight = preflight

    def names(self) -> list[str]:
        """Return the tags."""
        return super().names() if self._preflight.state(self._project).exists else []
