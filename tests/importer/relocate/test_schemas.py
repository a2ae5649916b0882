"""Every resource obeys the schema that its own project publishes; no field that is not in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from fixtures import gpu_operator
from tests.importer.relocate.test_values import GPU, needed
from tests.servers import gomodules

if TYPE_CHECKING:
    from tests.importer.relocate.site import High

SOURCE = "github.com/fluxcd/source-controller@v1.7.0"
RELEASE = "github.com/fluxcd/helm-controller@v1.4.0"
KYVERNO = "github.com/kyverno/kyverno@v1.19.1"
ROWS = {
    "OCIRepository": (
        SOURCE,
        "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
        "flux/gpu-operator-v25.3.0.yaml",
    ),
    "HelmRelease": (
        RELEASE,
        "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",
        "flux/gpu-operator-v25.3.0.yaml",
    ),
    "Application": (
        "github.com/argoproj/argo-cd/v3@v3.1.0",
        "manifests/crds/application-crd.yaml",
        "argocd/gpu-operator-v25.3.0.yaml",
    ),
    "ClusterPolicy": (
        KYVERNO,
        "config/crds/kyverno/kyverno.io_clusterpolicies.yaml",
        "kyverno/rename-images.yaml",
    ),
}


def closed(schema: Any) -> Any:
    """Return a schema of a CRD in which a field that it does not name is an error."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items() if key != "format"}
    free = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not free:
        found.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    if schema.get("nullable"):
        found = {"anyOf": [found, {"type": "null"}]}
    return found


def check(crd: Any, document: dict[str, Any]) -> None:
    version = document["apiVersion"].partition("/")[2]
    (served,) = [v for v in crd["spec"]["versions"] if v["name"] == version and v["served"]]
    schema = closed(served["schema"]["openAPIV3Schema"])
    for key in ("metadata", "status"):
        schema["properties"][key] = {"type": "object"}
    assert crd["spec"]["names"]["kind"] == document["kind"]
    jsonschema.Draft7Validator(schema).validate(document)


@pytest.mark.parametrize("kind", ROWS)
def test_the_resource_obeys_its_schema(high: High, kind: str) -> None:
    module, crd, file = ROWS[kind]
    folder = gomodules.require(module)
    archive = gpu_operator.archive()
    high.load(needed(archive), {GPU: archive})
    assert high.relocate("--pull-secret", "harbor-pull").code == 0
    (document,) = [one for one in high.documents(file) if one["kind"] == kind]
    check(yaml.load((folder / crd).read_text(), yaml.CSafeLoader), document)
    spoilt = {**document, "spec": {**document["spec"], "notInTheSchema": 1}}
    with pytest.raises(jsonschema.ValidationError, match="notInTheSchema"):
        check(yaml.load((folder / crd).read_text(), yaml.CSafeLoader), spoilt)
