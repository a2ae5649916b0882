"""CRI-O, podman, skopeo, buildah: a drop-in of registries.conf (containers-registries.conf(5)).

A source is ``blocked``, and so never contacted; its mirrors are asked all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.relocate import mirrors
from importer.relocate.text import quoted
from importer.relocate.world import CA_NAME, Emitted

if TYPE_CHECKING:
    from importer.relocate.mirrors import Mirror
    from importer.relocate.world import Site, World

FILE = "crio/registries.conf.d/50-dray.conf"
_ABOUT = """\
Copy `crio/registries.conf.d/` and `crio/certs.d/`, where there is one, to `/etc/containers/` on
every node; CRI-O reads them again at SIGHUP (`systemctl reload crio`), podman and skopeo at each
call. The sources themselves are blocked: what is not at the mirror is not found.
"""


def emit(world: World) -> Emitted:
    """Return ``crio/``."""
    found = mirrors.of(world.images)
    if not found.rules:
        return Emitted()
    blocks = [_rule(rule, world.site) for rule in found.rules]
    spoken = {rule.source for rule in found.rules}
    blocks += [_block(host) for host in found.hosts if host not in spoken]
    made = Emitted({FILE: "\n".join(blocks).encode()}, _ABOUT)
    for host in sorted({rule.target.partition("/")[0] for rule in found.rules}):
        if ca := world.site.authorities.get(host):
            made.files[f"crio/certs.d/{host}/{CA_NAME}"] = ca.encode()
    return made


def _rule(rule: Mirror, site: Site) -> str:
    insecure = rule.target.partition("/")[0] in site.plain
    mirror = f"\n[[registry.mirror]]\nlocation = {quoted(rule.target)}\n"
    return _block(rule.source) + mirror + ("insecure = true\n" if insecure else "")


def _block(source: str) -> str:
    name = quoted(source)
    return f"[[registry]]\nprefix = {name}\nlocation = {name}\nblocked = true\n"
