"""Refusals of helm.ngc.nvidia.com in NGC's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from bundler.sources.ngc_reasons import Reason, Refusal, explain
from bundler.sources.ngc_registry import login_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle.credentials import Credentials
    from bundle.errors import SourceError
    from bundler.sources.ngc_auth import Authorization


def explained_chart(
    url: str,
    refusals: Sequence[tuple[int, str]],
    credentials: Credentials | None,
    authorization: Authorization,
) -> SourceError | None:
    """Return the error for a Helm URL that every credential was refused, or nothing.

    ``refusals`` are the statuses in their order, each with the origin of what was shown, if any.
    A login that is no NGC key is not explained.
    """
    reason = chart_reason(url, refusals, credentials, authorization)
    return reason.error() if reason else None


def chart_reason(
    url: str,
    refusals: Sequence[tuple[int, str]],
    credentials: Credentials | None,
    authorization: Authorization,
) -> Reason | None:
    """Return why a Helm URL is refused, in NGC's terms."""
    login = login_of(credentials)
    foreign = credentials is not None and not login.key
    with_key = next((status for status, origin in refusals if origin), 0)
    without = next((status for status, origin in refusals if not origin), 0)
    status = with_key or without
    path = [unquote(part) for part in urlsplit(url).path.strip("/").split("/")]
    if foreign or status not in {401, 402, 403, 412, 451} or len(path) < 2:
        return None
    org, team = path[0], path[1] if len(path) > 2 and path[1] != "charts" else ""
    address = f"/orgs/{quote(org, safe='')}" + (f"/teams/{quote(team, safe='')}" if team else "")
    return explain(
        Refusal(
            what=f"{urlsplit(url).netloc}{urlsplit(url).path}",
            org=org,
            team=team,
            page=f"https://catalog.ngc.nvidia.com{address}/helm-charts",
            status=status,
            login=login,
            caller=authorization.caller,
            alone=without if with_key else 0,
        )
    )
