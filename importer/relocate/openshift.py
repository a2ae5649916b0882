"""OpenShift: mirrors for pulls by digest and by tag (openshift/api, config/v1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from importer.relocate import mirrors, text
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.world import World

NAME = "dray"
CA_MAP = "dray-registry-ca"
_ABOUT = """\
`oc apply -f openshift/`: pulls by digest and by tag go to the mirror, and never to the source. A
change rolls through the nodes (machine config operator), so apply it when it has changed. The pull
secret of the mirror belongs into `openshift-config/pull-secret`.
"""
_CA_ABOUT = f"""\
The CA is in a ConfigMap; where the cluster has none yet, name it:
`oc patch image.config.openshift.io/cluster --type merge -p
'{{"spec":{{"additionalTrustedCA":{{"name":"{CA_MAP}"}}}}}}'`; else add its keys to yours.
"""


def emit(world: World) -> Emitted:
    """Return ``openshift/``."""
    rules = mirrors.of(world.images).rules
    if not rules:
        return Emitted()
    rows = [
        {"source": r.source, "mirrors": [r.target], "mirrorSourcePolicy": "NeverContactSource"}
        for r in rules
    ]
    made = Emitted(about=_ABOUT)
    for kind, key, file in (
        ("ImageDigestMirrorSet", "imageDigestMirrors", "image-digest-mirrors"),
        ("ImageTagMirrorSet", "imageTagMirrors", "image-tag-mirrors"),
    ):
        document = _resource("config.openshift.io/v1", kind, NAME) | {"spec": {key: rows}}
        made.files[f"openshift/{file}.yaml"] = text.documents([document])
    hosts = sorted({rule.target.partition("/")[0] for rule in rules})
    known = {host: world.site.authorities[host] for host in hosts if host in world.site.authorities}
    if known:
        # The keys of a ConfigMap hold no colon: openshift writes host..port.
        data = {host.replace(":", ".."): ca for host, ca in known.items()}
        document = _resource("v1", "ConfigMap", CA_MAP)
        document["metadata"]["namespace"] = "openshift-config"
        made.files["openshift/registry-ca.yaml"] = text.documents([document | {"data": data}])
        made.about += "\n" + _CA_ABOUT
    return made


def _resource(version: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}
