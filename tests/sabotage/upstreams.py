"""The bounds of what upstreams send: listings, answers, archives."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_HUB = ("tests/bundler/sources/test_huggingface.py",)
_TAR = ("tests/bundle/test_tarstream.py",)

UPSTREAMS = (
    Sabotage("bundler/sources/hf_hub.py", "a list without end", tests=_HUB),
    Sabotage("bundler/sources/hf_hub.py", "answers with more than", tests=_HUB),
    Sabotage("bundler/sources/hf_hub.py", "that was not asked for", tests=_HUB),
)

BOMBS = (
    Sabotage("bundle/strictyaml.py", "_MOST_DOCUMENTS} documents"),
    Sabotage("bundler/sources/chartfile.py", "more than {MEMBERS} members", tests=_TAR),
    Sabotage("bundle/tarstream.py", "a header in it has more than", tests=_TAR),
    Sabotage("bundle/tarstream.py", "if found.type == tarfile.GNUTYPE_SPARSE", "if False", _TAR),
    Sabotage("bundle/tarstream.py", "a file in it has more than", tests=_TAR),
    Sabotage("bundle/tarstream.py", "its global headers have no end", tests=_TAR),
    Sabotage("bundle/tarstream.py", "a header in it is damaged", tests=_TAR),
    Sabotage("bundle/tarstream.py", 'startswith(b"GNU.sparse.")', "isspace()", _TAR),
    Sabotage("bundle/tarstream.py", 'vars(self)["members"].clear()', "pass", _TAR),
)
