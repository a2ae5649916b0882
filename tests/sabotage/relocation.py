"""The checks of what is written for clusters: whose word counts, what is there, what is left."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_COMMAND = ("tests/importer/relocate/test_command.py",)
_MIRRORS = ("tests/importer/relocate/test_mirrors.py", "tests/property/test_mirrors.py")
_VALUES = ("tests/importer/relocate/test_values.py",)
_MODELS = ("tests/importer/relocate/test_models.py",)
_GITOPS = ("tests/importer/relocate/test_gitops.py",)

RELOCATION = (
    Sabotage(
        "importer/relocate/evidence.py",
        "unseal(data, keys, what=name)",
        "__import__('bundle.receipt').receipt.unproved(data, what=name)",
        tests=_COMMAND,
    ),
    Sabotage("importer/relocate/evidence.py", "speaks of the target", tests=_COMMAND),
    Sabotage("importer/relocate/evidence.py", "say with --target which", tests=_COMMAND),
    Sabotage(
        "importer/relocate/evidence.py",
        "(waiting if entry.quarantine else last)",
        "last",
        tests=_COMMAND,
    ),
    Sabotage("importer/relocate/evidence.py", "which no registry has", tests=_COMMAND),
    Sabotage("importer/relocate/reach.py", "is at its target as the receipt says", tests=_COMMAND),
    Sabotage(
        "importer/relocate/reach.py",
        "names = [content.digest, *content.tags]",
        "names = [content.digest]",
        tests=_COMMAND,
    ),
    Sabotage(
        "importer/relocate/reach.py",
        "if there != (file.size, file.digest.hex)",
        "if False",
        tests=_MODELS,
    ),
    Sabotage("importer/relocate/reach.py", "holds no certificate", tests=_COMMAND),
    Sabotage("importer/relocate/folder.py", "was changed since dray wrote it", tests=_COMMAND),
    Sabotage("importer/relocate/folder.py", "if path not in known:", "if 0:", tests=_COMMAND),
    Sabotage("importer/relocate/folder.py", "path.is_symlink() or", "", tests=_COMMAND),
    Sabotage(
        "importer/relocate/mirrors.py",
        "and not _reaches_others(prefix, target, pairs)",
        "",
        tests=_MIRRORS,
    ),
    Sabotage("importer/relocate/trial.py", "not self.names.has(m)]", "False]", tests=_VALUES),
    Sabotage(
        "importer/relocate/names.py",
        'known.startswith(f"{tag}-")',
        "known.startswith(tag)",
        tests=_VALUES,
    ),
    Sabotage(
        "importer/relocate/pins.py", "if _is_bad(m, names, wanted)", "if False", tests=_VALUES
    ),
    Sabotage(
        "importer/relocate/pins.py",
        "return bool(joined) and not any(",
        "return False and any(",
        tests=_VALUES,
    ),
    Sabotage("importer/relocate/helm.py", "not in world.site.missing", "in ()", tests=_VALUES),
    Sabotage("importer/relocate/ownvalues.py", "names no chart that was loaded", tests=_VALUES),
    Sabotage("importer/relocate/kserve.py", "and not t.is_encoded]", "]", tests=_MODELS),
    Sabotage("importer/relocate/release.py", "short.count(a) == 1", "True", tests=_GITOPS),
    Sabotage("importer/relocate/command.py", "is no name of a secret", tests=_COMMAND),
    Sabotage("importer/relocate/command.py", "there is nothing to write", tests=_COMMAND),
)
