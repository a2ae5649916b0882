"""Kyverno: the images of pods renamed when they are admitted (kyverno.io/v1, mutate foreach)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from importer.relocate import mirrors, text
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.mirrors import Mirror
    from importer.relocate.world import World

FILE = "kyverno/rename-images.yaml"
NAME = "dray-rename-images"
LISTS = ("containers", "initContainers", "ephemeralContainers")
_ABOUT = """\
`kubectl apply -f kyverno/`: every pod's images get their names at the target, whatever operator
made the pod. With it, the mirrors of nodes are not needed; with mirrors, this is not.
"""


def emit(world: World) -> Emitted:
    """Return ``kyverno/``."""
    found = mirrors.of(world.images)
    if not found.rules:
        return Emitted()
    made = Emitted({FILE: text.documents([_policy(found.rules)])}, _ABOUT)
    if "docker.io" in found.hosts:
        made.notes.append(
            "kyverno: only names that begin with docker.io/ are renamed, not short ones"
        )
    return made


def _policy(rules: tuple[Mirror, ...]) -> dict[str, Any]:
    return {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {
            "name": NAME,
            "annotations": {
                "policies.kyverno.io/title": "Images from where they were imported to",
                # The pods that controllers make are renamed; their templates stay as they are.
                "pod-policies.kyverno.io/autogen-controllers": "none",
            },
        },
        "spec": {"background": False, "rules": [_rule(name, rules) for name in LISTS]},
    }


def _rule(name: str, rules: tuple[Mirror, ...]) -> dict[str, Any]:
    operations = ["CREATE", "UPDATE"] if name == "ephemeralContainers" else ["CREATE"]
    resources = {"kinds": ["Pod"], "operations": operations}
    return {
        "name": f"rename-{text.slug(name)}",
        "match": {"any": [{"resources": resources}]},
        "mutate": {"foreach": [_each(name, rule) for rule in rules]},
    }


def _each(name: str, rule: Mirror) -> dict[str, Any]:
    pattern = pattern_of(rule)
    image = f"{{{{ regex_replace_all('{pattern}', '{{{{element.image}}}}', '{rule.target}$1') }}}}"
    return {
        "list": f"request.object.spec.{name} || `[]`",
        "preconditions": {
            "all": [
                {
                    "key": f"{{{{ regex_match('{pattern}', '{{{{element.image}}}}') }}}}",
                    "operator": "Equals",
                    "value": True,
                }
            ]
        },
        "patchStrategicMerge": {
            "spec": {name: [{"name": "{{ element.name }}", "image": image}]},
        },
    }


def pattern_of(rule: Mirror) -> str:
    """Return the regular expression (RE2) of the names that a rule is about.

    What follows is its group: a path, a tag, a digest. A host has a path behind it.
    """
    source = rule.source.replace(".", "[.]")  # no backslash, which each layer reads its own way
    if "/" not in rule.source:
        return f"^{source}(/.*)$"
    return f"^{source}((?:[{':@' if rule.alone else '/:@'}].*)?)$"
