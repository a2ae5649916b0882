"""The checks of what a Harbor would refuse, and of what it says."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_BEFORE = ("tests/importer/harbor/test_preflight.py",)
_ROOM = ("tests/importer/harbor/test_room.py",)
_AT = ("tests/importer/harbor/test_target.py",)
_CALLS = ("tests/importer/harbor/test_client.py",)
_LABELS = ("tests/importer/harbor/test_labels.py",)
_PACE = ("tests/importer/harbor/test_pace.py",)
_ROWS = ("tests/importer/harbor/test_failures.py",)
_PREFLIGHT = "importer/harbor/preflight.py"
_TARGET = "importer/targets/harbor.py"

HARBOR = (
    Sabotage(_PREFLIGHT, "wants a login, and", tests=_BEFORE),
    Sabotage(_PREFLIGHT, "does not accept the login", tests=_BEFORE),
    Sabotage(
        _PREFLIGHT, "if (0, 0) < self.about.numbers < FLOOR:", "if False:", tests=_BEFORE
    ),
    Sabotage(
        _PREFLIGHT,
        "in self.harbor.unhealthy().items():",
        "in dict[str, str]().items():",
        tests=_BEFORE,
    ),
    Sabotage(_PREFLIGHT, "if self.about.read_only:", "if False:", tests=_BEFORE),
    Sabotage(_PREFLIGHT, "if state.project.is_proxy:", "if False:", tests=_BEFORE),
    Sabotage(_PREFLIGHT, "if not state.may(action)]", "if False]", tests=_BEFORE),
    Sabotage(
        _PREFLIGHT,
        "if quota.limit == UNLIMITED or load.bytes <= left:",
        "if True:",
        tests=_ROOM,
    ),
    Sabotage(
        _PREFLIGHT,
        "if before is None or before.digest == tag.digest:",
        "if True:",
        tests=_BEFORE,
    ),
    Sabotage(
        _PREFLIGHT,
        "or before.digest == tag.digest:",
        "or False:",
        tests=_BEFORE,
    ),
    Sabotage(_PREFLIGHT, "if not self.policy.creates:", "if False:", tests=_BEFORE),
    Sabotage(_PREFLIGHT, "and load.bytes > self.policy.quota:", "and False:", tests=_ROWS),
    Sabotage(_PREFLIGHT, "and _blocks_pulls(state.project):", "and False:", tests=_ROWS),
    Sabotage(_PREFLIGHT, "if state.exists is None:", "if False:", tests=_ROWS),
    Sabotage(
        _PREFLIGHT, 'if self.about.storage != "s3" or largest <= S3_LAYER:', "if True:", tests=_ROWS
    ),
    Sabotage("importer/harbor/client.py", "is reached, and is no Harbor", tests=_CALLS),
    Sabotage(
        "importer/harbor/client.py", "ok=(200, 401, 403, 404))", "ok=(200, 401, 404))", tests=_ROWS
    ),
    Sabotage(
        "importer/harbor/projects.py",
        "return None if answer.status == 403 else answer.status == 200",
        "return answer.status == 200",
        tests=_ROWS,
    ),
    Sabotage(
        "importer/harbor/projects.py",
        'if not rule.raw("disabled", False)',
        "if True",
        tests=_CALLS,
    ),
    Sabotage(_TARGET, "and no repository in it", tests=_AT),
    Sabotage(_TARGET, "would be in {project!r}: its name", tests=_AT),
    Sabotage(_TARGET, "at the", tests=_AT),
    Sabotage(_TARGET, "and {who} may not push there", tests=_BEFORE),
    Sabotage(_TARGET, "for digest, s in sizes.get(project, {}).items() if digest not in held]",
             "for digest, s in sizes.get(project, {}).items()]", tests=_ROOM),
    Sabotage(_TARGET, "or not state.rights >= labels.RIGHTS", "", tests=_LABELS),
    Sabotage(_TARGET, "if exists is False", "if False", tests=_AT),
    Sabotage("importer/harbor/pace.py", "if small and self._clock() - begun > SLOW:", "if False:",
             tests=_PACE),
    Sabotage("importer/harbor/pace.py", "while self._running >= self.limit:", "while False:",
             tests=_PACE),
    Sabotage("importer/harbor/setup.py", "no robot can be called", tests=_ROWS),
    Sabotage(
        "importer/ledger/shelf.py",
        "return self._registry.http.persist(partial(self._bytes, name, layer))",
        "return self._bytes(name, layer)",
        tests=_ROWS,
    ),
)  # fmt: skip
