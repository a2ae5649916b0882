"""containerd: a hosts.toml for each source host (containerd, docs/hosts.md).

``server`` is set to the mirror as well: without it, containerd falls back to the source. A CA may
be named relative to its hosts.toml (core/remotes/docker/config, ``makeAbsPath``), and ``:port`` in
a folder's name may be written ``_port_`` (``hostDirectory``), which every file system can hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.relocate import mirrors
from importer.relocate.text import quoted
from importer.relocate.world import CA_NAME, Emitted

if TYPE_CHECKING:
    from importer.relocate.world import Site, World

_ABOUT = """\
Copy `containerd/certs.d/` to the `config_path` of containerd's registries, mostly
`/etc/containerd/certs.d`, on every node. Nothing needs a restart. A name of such a host is asked
for at the mirror, and nowhere else.
"""


def emit(world: World) -> Emitted:
    """Return ``containerd/certs.d/``."""
    found = mirrors.of(world.images)
    made = Emitted(about=_ABOUT)
    for host, target in found.whole.items():
        folder = f"containerd/certs.d/{_folder(host)}"
        made.files[f"{folder}/hosts.toml"] = _hosts(target, world.site).encode()
        if ca := world.site.authorities.get(target.partition("/")[0]):
            made.files[f"{folder}/{CA_NAME}"] = ca.encode()
    for host in found.split():
        made.notes.append(
            f"containerd: no hosts.toml for {host}: its repositories have other paths at the"
            " target, and containerd changes no path; use the Helm values, or Kyverno"
        )
    for host in sorted(found.shared):
        made.notes.append(
            f"containerd: {found.whole[host]} holds images of other hosts than {host} too: a name"
            f" of {host} that was never loaded may be found there as another's"
        )
    return made


def _folder(host: str) -> str:
    name, colon, port = host.partition(":")
    return f"{name}_{port}_" if colon else name


def _hosts(target: str, site: Site) -> str:
    host, _, path = target.partition("/")
    scheme = "http" if host in site.plain else "https"
    url = f"{scheme}://{host}/v2" + (f"/{path}" if path else "")
    lines = ['capabilities = ["pull", "resolve"]']
    if host in site.authorities:
        lines.append(f"ca = {quoted(CA_NAME)}")
    if path:
        lines.append("override_path = true")
    inner = "".join(f"  {line}\n" for line in lines)
    return f"server = {quoted(url)}\n" + "\n".join(lines) + f"\n\n[host.{quoted(url)}]\n{inner}"
