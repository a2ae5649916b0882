"""Argo CD: an Application for each chart, and the repositories that they come from.

Sources: argo-cd, docs/user-guide/helm.md and docs/operator-manual/declarative-setup.md: an OCI
repository of charts is named without ``oci://``, and ``enableOCI`` says what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from importer.relocate import helm, text
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.release import Release
    from importer.relocate.world import World

NAMESPACE = "argocd"
_ABOUT = """\
`kubectl apply -f argocd/`: an Application for each chart, with its values, into a namespace of the
chart's name; nothing syncs by itself. The secrets that name the repositories hold no login: where
one is needed, add `username` and `password` to them by your own means. A CA goes into the ConfigMap
`argocd-tls-certs-cm`, under the name of the host.
"""


def emit(world: World) -> Emitted:
    """Return ``argocd/``."""
    made = Emitted()
    folders = set()
    for release in world.releases():
        made.files[f"argocd/{release.stem}.yaml"] = text.documents([_application(release)])
        folders.add((helm.location(release)[0], release.chart.host))
        helm.judge(release, world, made)
    if not made.files:
        return made
    plain = sorted({host for _folder, host in folders} & world.site.plain)
    made.notes += [
        f"argocd: {host} speaks plain HTTP: Argo CD takes charts over TLS alone" for host in plain
    ]
    secrets = [_repository(folder) for folder, _host in sorted(folders)]
    made.files["argocd/repositories.yaml"] = text.documents(secrets)
    made.about = _ABOUT
    return made


def _application(release: Release) -> dict[str, Any]:
    folder, name = helm.location(release)
    source: dict[str, Any] = {"repoURL": folder, "chart": name, "targetRevision": release.version}
    source["helm"] = {"releaseName": text.slug(release.name), "valuesObject": release.values}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": text.slug(release.stem), "namespace": NAMESPACE},
        "spec": {
            "project": "default",
            "source": source,
            "destination": {
                "server": "https://kubernetes.default.svc",
                "namespace": text.slug(release.name),
            },
            "syncPolicy": {"syncOptions": ["CreateNamespace=true", "ServerSideApply=true"]},
        },
    }


def _repository(folder: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": text.slug(f"repository-{folder}"),
            "namespace": NAMESPACE,
            "labels": {"argocd.argoproj.io/secret-type": "repository"},
        },
        "stringData": {"name": folder, "url": folder, "type": "helm", "enableOCI": "true"},
    }
