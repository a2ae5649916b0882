"""Lists as Hauler and aicr write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.adopt import files, write
from bundler.adopt.found import Found

if TYPE_CHECKING:
    from collections.abc import Mapping

HAULER = """\
# What the cluster needs.
apiVersion: content.hauler.cattle.io/v1
kind: Images
metadata:
  name: gpu-images
  annotations:
    hauler.dev/platform: linux/amd64
spec:
  images:
    # the operator itself
    - name: nvcr.io/nvidia/gpu-operator:v25.3.0
    - name: registry.k8s.io/nfd/node-feature-discovery:v0.17.2
      platform: linux/arm64
---
apiVersion: content.hauler.cattle.io/v1alpha1
kind: Charts
metadata:
  name: gpu-charts
spec:
  charts:
    - name: gpu-operator
      repoURL: https://helm.ngc.nvidia.com/nvidia
      version: v25.3.0
      addImages: true
    - name: kai-scheduler
      repoURL: oci://ghcr.io/nvidia/kai-scheduler
      version: v0.5.1   # last tested
"""

AICR = """\
images:
  - nvcr.io/nvidia/gpu-operator:v26.7.1
  - registry.k8s.io/nfd/node-feature-discovery:v0.19.0
charts:
  - name: gpu-operator
    repository: https://helm.ngc.nvidia.com/nvidia
    chart: gpu-operator
    version: v26.7.1
    namespace: gpu-operator
components:
  - component: gpu-operator
    type: helm
    images:
      - nvcr.io/nvidia/gpu-operator:v26.7.1
      - registry.k8s.io/nfd/node-feature-discovery:v0.19.0
metadata:
  recipeVersion: v0.9.0
  criteria: service=eks, accelerator=h100
"""


def images(*names: str, more: str = "", kind: str = "v1") -> str:
    """A manifest of Hauler with these images; ``more`` are lines of each."""
    rows = "".join(f"    - name: {name}\n{more}" for name in names)
    head = f"apiVersion: content.hauler.cattle.io/{kind}\nkind: Images\nmetadata: {{name: x}}\n"
    return f"{head}spec:\n  images:\n{rows}"


def chart(**fields: object) -> str:
    """A manifest of Hauler with one chart."""
    given = {"name": "app", "repoURL": "https://charts.example.com", "version": "1.0.0", **fields}
    rows = "".join(f"      {key}: {value}\n" for key, value in given.items() if value is not None)
    head = "apiVersion: content.hauler.cattle.io/v1\nkind: Charts\nmetadata: {name: x}\n"
    return f"{head}spec:\n  charts:\n    -\n{rows}"


def read(text: str, answers: Mapping[str, str] | None = None, name: str = "list.yaml") -> Found:
    """Read a list."""
    found = Found(answers or {})
    files.read(text.encode(), name, found)
    return found


def spelled(text: str, *, platforms: tuple[str, ...] = (), accepted: str = "") -> str:
    """The spec that a list makes."""
    found = Found()
    comments = files.read(text.encode(), "list.yaml", found)
    found.check()
    return write.text(found, comments, write.Wish("lab", platforms, accepted))
