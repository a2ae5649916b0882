"""The first spec that `dray init` writes: valid as it stands, each option explained in one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundle.errors import UsageError
from bundle.manifest import STREAM

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPEC = "dray.yaml"

TEXT = """\
# What dray carries over the air gap. Next: dray lock {spec}; review the lock; dray export {spec}.
# A line that starts with "#  " is an example: take the "#" away to use it.
apiVersion: dray/v1

# The line of bundles that this spec makes. Sequence numbers, trusted keys: all count per stream.
stream: {stream}

# Of images for several platforms, those that are carried; or all, which keeps index digests.
platforms: [linux/amd64]

# Container images: the full name, registry first, with a tag or a digest. The lock pins both.
images:
  - nvcr.io/nvidia/cuda:12.6.0-base-ubuntu22.04
#  - nvcr.io/nvidia/k8s/dcgm-exporter@sha256:{zeros}
# Every tag from 24.12-py3 on and before 26, as there are when the lock is made (20 GB each).
#  - {{name: nvcr.io/nvidia/pytorch, tags: ">=24.12-py3, <26"}}
# Other platforms for one image.
#  - {{name: nvcr.io/nvidia/tritonserver, tag: 25.01-py3, platforms: [linux/amd64, linux/arm64]}}

# Helm charts, from a chart repository or from a registry, each in one exact version.
charts:
  - {{repo: https://helm.ngc.nvidia.com/nvidia, name: gpu-operator, version: v25.3.0}}
#  - oci://nvcr.io/nvidia/cloud-native-charts/gpu-operator:v26.7.0

# NGC models and resources, org[/team]/name:version. Most need a key: export NGC_API_KEY first.
models:
#  - ngc: nvidia/riva/speechtotext_en_us_citrinet_1024_gamma_0_25:deployable_v2.0.0
resources:
#  - ngc: nvidia/some_team/some_notebook:1.0

# NIMs: the image, and the model files of the profiles chosen; auto: those that run on any GPU.
nims:
#  - {{image: "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.8.0", profiles: [{{gpu: H100, tp: 1}}]}}

# Models of Hugging Face, each at one commit: pip install 'dray[hf]' first.
hf:
#  - {{repo: nvidia/Llama-3.1-Nemotron-Nano-8B-v1, commit: {zeros40}}}

# Any other file, pinned by what sha256sum prints; path: is its name in the bundle.
files:
#  - url: https://example.com/tools/installer-1.2.run
#    sha256: {zeros}
#    path: tools/installer.run

# Hosts that are not reached as usual: a mirror, an own CA (file beside this one), plain HTTP.
registries:
#  nvcr.io: {{endpoint: "https://mirror.example:5000"}}
#  lab.example:5000: {{plain-http: true}}

# How long a bundle may be imported after it was made.
expires: 180d
"""


def text(stream: str) -> str:
    """Return the starter spec for ``stream``."""
    return TEXT.format(spec=SPEC, stream=quoted(stream), zeros="0" * 64, zeros40="0" * 40)


def quoted(stream: str) -> str:
    """Return the name of a stream as YAML has it."""
    # A stream named true or 2026 would be no text without quotes.
    return stream if re.fullmatch(r"[a-z-]*", stream) and stream not in _WORDS else f'"{stream}"'


_WORDS = frozenset({"true", "false", "null"})


def check(folder: Path, names: Sequence[str] = ()) -> None:
    """Raise :class:`UsageError` when the spec, or one of ``names``, is in ``folder`` already."""
    for name in (SPEC, *names):
        path = folder / name
        if path.exists() or path.is_symlink():
            hint = "it is left as it is; give another folder, or move it away first"
            raise UsageError(f"{path} is there already", hint=hint)


def check_stream(stream: str) -> None:
    """Raise :class:`UsageError` for a name that no stream can have."""
    if not re.fullmatch(STREAM, stream):
        hint = "up to 40 lower-case letters, digits and hyphens, with no hyphen at either end"
        raise UsageError(f"{stream[:60]!r} cannot name a stream", hint=hint)


def write(folder: Path, stream: str) -> list[Path]:
    """Write the starter spec into ``folder``, never over a file; return the paths written.

    Raises :class:`UsageError` for a name that no stream can have, for a file that is there, and for
    a folder that cannot be written to.
    """
    check_stream(stream)
    check(folder)
    path = folder / SPEC
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text(stream))
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError(f"cannot write {path}: {reason}") from None
    return [path]
