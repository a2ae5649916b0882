"""KServe: where models are, and the secret and service account that a pod reads them with.

Sources: kserve, pkg/credentials/s3 (annotations, names of keys) and python/kserve/kserve/storage
(every object is fetched whose key begins with the path, so an address ends with a slash).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from importer.relocate import shapes, text
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.world import Bucket, Tree, World

GROUP = "serving.kserve.io"
NAME = "dray-s3"
CA_KEY = "cabundle.crt"
"""What KServe looks for in the ConfigMap of a CA."""
_FORMATS = {shapes.TRITON: "triton", shapes.HUGGING_FACE: "huggingface"}
_ABOUT = """\
`kubectl -n NAMESPACE apply -f kserve/`: the secret holds how the store is reached, and no keys. Add
them by your own means, without them in a command line or in git:

```text
kubectl -n NAMESPACE patch secret NAME --patch-file keys.yaml   # stringData: AWS_ACCESS_KEY_ID: …,
                                                                # AWS_SECRET_ACCESS_KEY: …
```

"""


def emit(world: World) -> Emitted:
    """Return ``kserve/``, for models in buckets."""
    trees = [t for t in world.trees if t.is_s3 and t.artifact.kind == "model" and not t.is_encoded]
    made = Emitted()
    rows = []
    made.notes += [
        f"kserve: {t.artifact.name} is in a model repository with others, and KServe wants its own"
        for t in trees
        if t.repository
    ]
    trees = [t for t in trees if not t.repository]
    for name in sorted({tree.bucket for tree in trees}):
        secret = _secret_name(name, trees)
        made.files[f"kserve/{secret}.yaml"] = _access(secret, world.site.buckets[name])
    for tree, name in zip(trees, text.unique([t.artifact.name for t in trees]), strict=True):
        rows.append(f"| `{tree.artifact.name}` | `{tree.place}` |\n")
        if (shape := shapes.of(tree)) in _FORMATS:
            made.files[f"kserve/{name}.yaml"] = _service(name, tree, shape, trees)
        else:
            made.notes.append(
                f"kserve: {tree.artifact.name} has no layout that tells its runtime: its address is"
                " in the README"
            )
    if rows:
        made.about = _ABOUT + "| model | storageUri |\n|---|---|\n" + "".join(rows)
    return made


def _secret_name(bucket: str, trees: list[Tree]) -> str:
    one = len({tree.bucket for tree in trees}) == 1
    return NAME if one else text.slug(f"{NAME}-{bucket}")


def _access(name: str, bucket: Bucket) -> bytes:
    """Return secret and service account, and the CA where there is one."""
    notes = {f"{GROUP}/s3-region": bucket.region}
    if bucket.endpoint:
        parts = urlsplit(bucket.endpoint)
        notes[f"{GROUP}/s3-endpoint"] = parts.netloc
        notes[f"{GROUP}/s3-usehttps"] = "1" if parts.scheme == "https" else "0"
        notes[f"{GROUP}/s3-verifyssl"] = "1" if parts.scheme == "https" else "0"
        notes[f"{GROUP}/s3-usevirtualbucket"] = "false"
    documents: list[dict[str, Any]] = []
    if bucket.ca:
        notes[f"{GROUP}/s3-cabundle-configmap"] = f"{name}-ca"
        documents.append({**_head("ConfigMap", f"{name}-ca"), "data": {CA_KEY: bucket.ca}})
    secret = _head("Secret", name)
    secret["metadata"]["annotations"] = notes
    documents.append({**secret, "type": "Opaque"})
    documents.append({**_head("ServiceAccount", name), "secrets": [{"name": name}]})
    return text.documents(documents)


def _service(name: str, tree: Tree, shape: str, trees: list[Tree]) -> bytes:
    model = {"modelFormat": {"name": _FORMATS[shape]}, "storageUri": tree.place}
    account = _secret_name(tree.bucket, trees)
    document = {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"serviceAccountName": account, "model": model}},
    }
    return text.documents([document], head=f"{tree.artifact.name}\nits resources are yours to say")


def _head(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
