"""The fuzz targets of upstreams beside registries, and of small files that people hand over."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bundle.artifact import Content
from bundle.digest import Digest
from bundle.errors import DrayError, SourceError
from bundle.http import Host
from bundle.upstream import openpgp
from bundler.kit import pins
from bundler.sources import ngc_caller, ngc_listing, ngc_login, ngc_publickey, ngc_urls
from bundler.sources import ngc_signature as ngc_signed
from bundler.sources.ngc_api import Item, NgcApi, StatusError
from bundler.sources.ngc_auth import AUTHN, Authorization
from bundler.sources.ngc_login import Login
from importer.serve.answer import Refused
from importer.serve.passwords import Passwords
from importer.targets import referrers, uploads
from tests.fuzz import wire
from tests.fuzz.contenttargets import BETWEEN, _folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_REPO, _COMMIT = "org/model", "0" * 40


def hub(data: bytes) -> None:
    """The answers of Hugging Face about a commit, in a row, the last of which stays."""
    found = _hub().asked(data)
    for item in found.files:
        assert item.size >= 0
        assert isinstance(item.path, str)
    assert "/" in found.repo


@cache
def _hub() -> Any:
    import httpx2
    from huggingface_hub.utils import _http

    from bundler.sources import hf_hub

    vars(_http)["time"] = SimpleNamespace(sleep=lambda _seconds: None)
    vars(_http)["logger"] = SimpleNamespace(warning=lambda *_: None, debug=lambda *_: None)
    os.environ["HF_TOKEN"] = wire.SECRET

    class Fake(hf_hub.Hub):
        answers: Iterator[bytes]
        last: tuple[int, dict[str, str], bytes]

        def asked(self, data: bytes) -> Any:
            self.answers = iter(data.split(wire.BETWEEN))
            return self.commit(_REPO, _COMMIT)

        def _client(self) -> Any:
            made = super()._client()
            made._transport = httpx2.MockTransport(self._answer)
            made._mounts = {}
            return made

        def _answer(self, request: Any) -> Any:
            ours = request.url.host == wire.NAME and request.url.scheme == "https"
            assert ours or "authorization" not in request.headers, request.url
            if (one := next(self.answers, None)) is not None:  # what stays is taken apart once
                status, rows, body = wire.parts(one)
                known = {k: v for k, v in rows if k.lower() not in {"content-length"}}
                self.last = status, known, body
            status, known, body = self.last
            return httpx2.Response(status, headers=known, content=iter([body]))

    return Fake(f"https://{wire.NAME}")


_ITEM = Item("models", "nvidia", "", "riva", "1.0")


def ngc_answer(data: bytes) -> None:
    """NGC's answers to a question that the first byte chooses, beginning with the token's."""
    http = wire.client(data[1:], SourceError)
    for name in (ngc_caller.API, AUTHN):
        http.hosts[name] = Host(endpoint=f"https://{wire.NAME}")
    login = Login(wire.SECRET, "a test", "nvidia") if not data or data[0] & 1 else Login()
    authorization = Authorization(login, http)
    api = NgcApi(http, authorization, warn=_clean)
    ask = _QUESTIONS[(data[0] >> 1) % len(_QUESTIONS)] if data else _QUESTIONS[0]
    try:
        ask(api)
    except StatusError as refused:
        _clean(refused.error.message)
    except DrayError as error:
        _clean(error.message)


def _clean(text: str) -> None:
    assert wire.SECRET not in text
    assert text.isprintable(), text


def _opened(api: NgcApi) -> None:
    with ngc_urls.opener(api, _ITEM, "a.bin", 100, None)(0) as blocks:
        for _block in blocks:
            pass


_QUESTIONS: tuple[Callable[[NgcApi], object], ...] = (
    lambda api: api.authorization.caller(),
    lambda api: ngc_signed.fetch(api, _ITEM),
    _opened,
    lambda api: ngc_listing.version_facts(api, _ITEM),
    lambda api: ngc_publickey.fetch(api.http, SimpleNamespace(ngc="models")),  # type: ignore[arg-type]
)


def ngc_config(data: bytes) -> None:
    """The configuration of NGC's own client: a key that can be sent, or none."""
    place = _folder() / ".ngc" / "config"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(data)
    found = ngc_login._configured({"NGC_CLI_HOME": str(_folder())}, ("", ""))
    assert re.fullmatch(r"[!-~]*", found.key + found.org + found.team)


def serve_passwords(data: bytes) -> None:
    """The users of ``dray serve``, and what a client says who it is."""
    lines, _, header = data.partition(BETWEEN)
    path = _folder() / "users"
    path.write_bytes(lines)
    with suppress(DrayError):
        assert all("$6$" in one for one in Passwords.load(path).users.values())
    never = Passwords({"user": "$6$rounds=1000$salt$" + "a" * 86})
    with suppress(Refused):
        never.check(header.decode("latin-1"))
        raise AssertionError


def kit_pins(data: bytes) -> None:
    """The pins of a kit's wheels: no package without a digest."""
    path = _folder() / "pins"
    path.write_bytes(data)
    assert all(version and digests for version, digests in pins.load(path).values())


def s3_journal(data: bytes) -> None:
    """What is remembered of an upload to a bucket."""
    kept = uploads.Journal(_folder())
    kept.save("it", uploads.Record("id"))
    kept._path("it").write_bytes(data)
    assert isinstance(kept.load("it"), uploads.Record | None)
    bucket = SimpleNamespace(store=SimpleNamespace(endpoint="https://s3", bucket="b"))
    made = uploads.Uploads(bucket, kept)  # type: ignore[arg-type]
    made._abort = lambda *_: None  # type: ignore[method-assign]
    made.abort_stale(-1)


_CONTENT = Content("manifest", "a/b", Digest.of(b"it"), 2, subject=Digest.of(b"what it is about"))


def referrers_tag(data: bytes) -> None:
    """The index under a fallback tag, and the manifest that gets into it."""
    index, _, manifest = data.partition(BETWEEN)
    made = referrers.merge(index, _CONTENT, manifest)
    assert referrers.merge(made, _CONTENT, manifest) == made


def signed_text(data: bytes) -> None:
    """A message signed in clear, and one in Sequoia's place who believes everybody."""
    text = data.partition(b"\n\n")[2].rpartition(b"\n-----BEGIN PGP SIGNATURE-----")[0]
    library = SimpleNamespace(
        verify=lambda **_how: SimpleNamespace(
            valid_sigs=[SimpleNamespace(certificate="F")], bytes=text.replace(b"\n- ", b"\n")
        )
    )
    ring = openpgp.Keyring("k", (SimpleNamespace(fingerprint="F"),))
    with _library(library):
        found = openpgp.verified(data, [ring], "it")
    assert not any(line.startswith("-----BEGIN PGP") for line in found.text.split("\n"))


def certificates(data: bytes) -> None:
    """A keyring, with something in Sequoia's place that takes each line for a certificate."""
    made = [
        SimpleNamespace(fingerprint=line[:40], is_revoked=line.endswith("!"))
        for line in data.decode("latin-1").split("\n", 1000)
        if line
    ]
    library = SimpleNamespace(Cert=SimpleNamespace(split_bytes=lambda _data: made))
    with _library(library):
        found = openpgp.Keyring.read("k", data, what="k", only="openpgp:f" if made[1:] else "")
    assert found.fingerprints
    assert b"PRIVATE KEY BLOCK" not in data


class _library:  # noqa: N801
    """Puts something in the library's place for a while."""

    def __init__(self, module: Any) -> None:
        self._module, self._kept = module, openpgp._library

    def __enter__(self) -> None:
        vars(openpgp)["_library"] = lambda work: work(self._module)

    def __exit__(self, *_why: object) -> None:
        vars(openpgp)["_library"] = self._kept


TARGETS: dict[str, Callable[[bytes], object]] = {
    "hub": hub,
    "ngc-answer": ngc_answer,
    "ngc-config": ngc_config,
    "serve-passwords": serve_passwords,
    "kit-pins": kit_pins,
    "s3-journal": s3_journal,
    "referrers-tag": referrers_tag,
    "signed-text": signed_text,
    "certificates": certificates,
}
