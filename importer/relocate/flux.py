"""Flux: an OCIRepository pinned by digest and a HelmRelease for each chart.

Sources: fluxcd/source-controller, docs/spec/v1/ocirepositories.md; fluxcd/helm-controller,
docs/spec/v2/helmreleases.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from importer.relocate import helm, text
from importer.relocate.reach import ARCHIVE
from importer.relocate.world import CA_NAME, Emitted

if TYPE_CHECKING:
    from importer.relocate.release import Release
    from importer.relocate.world import Site, World

NAMESPACE = "flux-system"
CA_SECRET = "dray-registry-ca"  # noqa: S105  (a name; what is in it is public)
_INTERVAL = "1h"
_ABOUT = """\
`kubectl apply -f flux/`: each chart by its digest, and a HelmRelease with its values, into a
namespace of the chart's name. A login is in the pull secret, where `--pull-secret` names one: it
has to be in `flux-system` too.
"""


def emit(world: World) -> Emitted:
    """Return ``flux/``."""
    made = Emitted()
    for release in world.releases():
        documents = [_repository(release, world.site), _release(release)]
        made.files[f"flux/{release.stem}.yaml"] = text.documents(documents)
        helm.judge(release, world, made)
        if ca := world.site.authorities.get(release.chart.host):
            name = _ca_name(release.chart.host)
            made.files[f"flux/{name}.yaml"] = text.documents([_authority(name, ca)])
    made.about = _ABOUT if made.files else ""
    return made


def _repository(release: Release, site: Site) -> dict[str, Any]:
    spec: dict[str, Any] = {"interval": _INTERVAL, "url": f"oci://{release.chart.target}"}
    spec["ref"] = {"digest": str(release.chart.artifact.root)}
    spec["layerSelector"] = {"mediaType": ARCHIVE, "operation": "copy"}
    if site.pull_secret:
        spec["secretRef"] = {"name": site.pull_secret}
    if release.chart.host in site.authorities:
        spec["certSecretRef"] = {"name": _ca_name(release.chart.host)}
    if release.chart.host in site.plain:
        spec["insecure"] = True
    head = _head("source.toolkit.fluxcd.io/v1", "OCIRepository", text.slug(release.stem))
    return {**head, "spec": spec}


def _release(release: Release) -> dict[str, Any]:
    name = text.slug(release.name)
    spec: dict[str, Any] = {"interval": _INTERVAL, "releaseName": name, "targetNamespace": name}
    spec["chartRef"] = {"kind": "OCIRepository", "name": text.slug(release.stem)}
    spec["install"] = {"createNamespace": True}
    if release.values:
        spec["values"] = release.values
    head = _head("helm.toolkit.fluxcd.io/v2", "HelmRelease", text.slug(release.stem))
    return {**head, "spec": spec}


def _authority(name: str, ca: str) -> dict[str, Any]:
    return {**_head("v1", "Secret", name), "type": "Opaque", "stringData": {CA_NAME: ca}}


def _ca_name(host: str) -> str:
    return text.slug(f"{CA_SECRET}-{host}")


def _head(version: str, kind: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
    }
