"""What is said of newer versions of the trust file that a medium carries: nothing is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle import trustchain, trustplace
from bundle.errors import DrayError
from bundle.trustchain import ENDING

if TYPE_CHECKING:
    from pathlib import Path

    from bundle.media import Media
    from bundle.trust import Trust


def newer(media: Media, trust: Trust) -> str:
    """Return what to say when the medium carries a newer version; else nothing."""
    places = media.places(f"{media.name}.{ENDING}")
    if not places or trust.digest is None:
        return ""
    try:
        versions = trustplace.versions(places[:1])
        accepted = trustchain.walk(trust, versions)
    except DrayError as error:
        return f"the medium carries a trust file that is not accepted: {error.message}"
    if not accepted:
        return ""
    version = accepted[-1].trust.version
    return (
        f"the medium carries version {version} of the trust file, signed as it must be, and "
        f"{trust.version} is in use: dray trust apply {_shown(places[0].parent)}"
    )


def _shown(folder: Path) -> str:
    return str(folder)
