"""``verify``: a program in plain sh and curl that asks a registry for every digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.artifact import MANIFEST_ROLES
from importer.relocate.world import Emitted

if TYPE_CHECKING:
    from importer.relocate.world import World

FILE = "verify"
_ABOUT = """\
`./verify` asks for every manifest, config and layer by digest (HEAD, with sh and curl), names what
is missing, and ends with 1 then. Its arguments go to curl: `--netrc-file FILE` for a login,
`--cacert FILE` for a CA.
"""
_HEAD = r"""#!/bin/sh
# Is everything at its registry? Each digest is asked for by HEAD. Arguments go to curl:
#   ./verify --netrc-file FILE --cacert FILE
set -u
umask 077
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
types='application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
types="$types, application/vnd.docker.distribution.manifest.list.v2+json"
types="$types, application/vnd.docker.distribution.manifest.v2+json"

# registry|repository|what
cat > "$work/list" <<'END'
"""
_TAIL = r"""END

cut -d '|' -f 1,2 "$work/list" | sort -u > "$work/repositories"
while IFS='|' read -r registry repository; do
  # A registry with tokens says where they come from; Basic needs no more than --netrc-file.
  curl -sS -I "$@" "$registry/v2/$repository/tags/list" < /dev/null 2> /dev/null |
    tr -d '\r' | sed -n 's/^[Ww][Ww][Ww]-[Aa]uthenticate: *[Bb]earer *//p' > "$work/told"
  realm=$(sed -n 's/.*realm="\([^"]*\)".*/\1/p' "$work/told")
  service=$(sed -n 's/.*service="\([^"]*\)".*/\1/p' "$work/told")
  : > "$work/config"
  if [ -n "$realm" ]; then
    { curl -sS -G "$@" --data-urlencode "service=$service" \
        --data-urlencode "scope=repository:$repository:pull" "$realm" < /dev/null; echo; } |
      sed -n 's/.*"token" *: *"\([^"]*\)".*/header = "Authorization: Bearer \1"/p' > "$work/config"
  fi
  awk -F '|' -v a="$registry" -v b="$repository" '$1 == a && $2 == b {
    printf "url = \"%s/v2/%s/%s\"\noutput = \"/dev/null\"\n", $1, $2, $3 }' \
    "$work/list" >> "$work/config"
  curl -sS -I "$@" -H "Accept: $types" -K "$work/config" \
    -w '%{http_code} %{url_effective}\n' < /dev/null >> "$work/answers"
done < "$work/repositories"

# A blob that the registry keeps elsewhere is answered with the way to it.
awk '$1 != 200 && $1 != 302 && $1 != 307 { print "MISSING", $2, "(" $1 ")" }' "$work/answers" \
  > "$work/missing"
cat "$work/missing"
asked=$(($(wc -l < "$work/list")))
unanswered=$((asked - $(wc -l < "$work/answers")))
echo "$asked asked for, $(($(wc -l < "$work/missing"))) missing, $unanswered without an answer"
[ "$unanswered" = 0 ] && [ ! -s "$work/missing" ]
"""


def emit(world: World) -> Emitted:
    """Return ``verify``, where anything is in a registry."""
    lines: dict[str, None] = {}
    for one in (*world.images, *world.charts, *world.models):
        scheme = "http" if one.host in world.site.plain else "https"
        for content in one.artifact.contents:
            kind = "manifests" if content.role in MANIFEST_ROLES else "blobs"
            lines[f"{scheme}://{one.host}|{one.path}|{kind}/{content.digest}"] = None
    if not lines:
        return Emitted()
    body = "".join(f"{line}\n" for line in sorted(lines))
    return Emitted({FILE: (_HEAD + body + _TAIL).encode()}, _ABOUT)
