"""The options about the NGC key that commands share, and the connections that they make."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from bundle.options import FILE, option, warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundler.resolve import Upstreams
    from bundler.spec import Spec

    Connect = Callable[..., Upstreams]


def login_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--ngc-key-file`` and ``--require-auth``; the command gets ``connect`` for them.

    ``connect(spec)`` returns the upstreams of a run; it takes what :class:`Upstreams` takes.
    """

    @wraps(function)
    def command(
        *arguments: Any, ngc_key_file: Path | None, require_auth: bool, **named: Any
    ) -> Any:
        def connect(spec: Spec, **more: Any) -> Upstreams:
            from bundler.resolve import Upstreams  # noqa: PLC0415  (heavy: not for --help)

            settings = {"key_file": ngc_key_file, "require_auth": require_auth, **more}
            return Upstreams(spec, settings.pop("warn", warn), **settings)

        return function(*arguments, connect=connect, **named)

    required = option(
        "--require-auth", is_flag=True, help="Fail without an NGC key instead of asking as a guest."
    )
    file = option(
        "--ngc-key-file",
        type=FILE,
        help="File with the NGC key [default: NGC_CLI_API_KEY, NGC_API_KEY, ~/.ngc/config].",
    )
    return file(required(command))
