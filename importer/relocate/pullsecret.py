"""What to say about pull secrets: no secret is written, for none is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.relocate import mirrors
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.world import World

NAME = "registry-pull"
"""What the secret is called where nobody says."""


def emit(world: World) -> Emitted:
    """Return a part of the README alone."""
    found = mirrors.of(world.images)
    if not found.hosts:
        return Emitted()
    hosts = sorted({one.host for one in (*world.images, *world.charts)})
    name = world.site.pull_secret or NAME
    logins = "\n".join(f"skopeo login --authfile auth.json {host}" for host in hosts)
    sources = ", ".join(found.hosts)
    about = f"""\
A registry that lets everybody pull needs none of this. Else, in each namespace that pulls:

```text
{logins}
kubectl -n NAMESPACE create secret generic {name} --type=kubernetes.io/dockerconfigjson \\
  --from-file=.dockerconfigjson=auth.json
kubectl -n NAMESPACE patch serviceaccount default -p '{{"imagePullSecrets":[{{"name":"{name}"}}]}}'
```

With mirrors on the nodes, a kubelet looks for a secret by the host in the pod's image name, which
is still the source's ({sources}). So `auth.json` has to hold the login for these hosts too: copy
the entry in its `auths`. With the Helm values or with Kyverno the names are the target's, and this
is not needed. Use a robot account that may pull and nothing else.
"""
    return Emitted(about=about)
