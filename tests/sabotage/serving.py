"""The checks of what is served from a medium or a folder, and of kits."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_SERVED = ("tests/importer/serve",)
SERVED = (
    Sabotage(
        "importer/serve/store.py",
        "if hashlib.sha256(segment).digest() != table[number * _SIZE : (number + 1) * _SIZE]:",
        "if False:",
        tests=_SERVED,
    ),
    Sabotage(
        "importer/serve/catalogue.py",
        'f"{namespace}/{name}" if namespace else name',
        "name",
        tests=_SERVED,
    ),
    Sabotage(
        "importer/serve/passwords.py",
        "if same and user in self.users:",
        "if user in self.users:",
        tests=_SERVED,
    ),
    Sabotage("importer/serve/request.py", "a body is never taken", tests=_SERVED),
    Sabotage(
        "importer/serve/listening.py", "can be reached from other hosts, and there", tests=_SERVED
    ),
)

_HOUSE = ("tests/importer/serve/test_warehouse.py",)
HOUSE = (
    Sabotage(
        "importer/serve/warehouse.py",
        'any(index.get(layout.name_of(one)) != one["digest"] for one in named)',
        "not index",
        tests=_HOUSE,
    ),
    Sabotage(
        "importer/serve/warehouse.py",
        "if data is None or marker.read(data, folder).root != artifact.root:",
        "if False:",
        tests=_HOUSE,
    ),
    Sabotage(
        "importer/serve/vouching.py",
        "if str(Digest.of(data)) not in known:",
        "if False:",
        tests=_HOUSE,
    ),
    Sabotage("importer/serve/vouching.py", "who signed the receipt?", tests=_HOUSE),
    Sabotage("importer/serve/vouching.py", "nothing vouches for what is there", tests=_HOUSE),
    Sabotage(
        "importer/serve/answer.py",
        "        self.store.check(digest)\n",
        "",
        tests=("tests/importer/serve/test_command.py",),
    ),
    Sabotage(
        "importer/serve/server.py",
        "self.server.stopping.wait(GUESSING)",
        "pass",
        tests=("tests/importer/serve/test_command.py",),
    ),
    Sabotage(
        "importer/serve/listening.py",
        "context.verify_mode = ssl.CERT_REQUIRED",
        "context.verify_mode = ssl.CERT_NONE",
        tests=("tests/importer/serve/test_command.py",),
    ),
)

_KIT = ("tests/bundle/kit",)
KIT = (
    Sabotage("bundle/kit/document.py", "does not pin {tar}", tests=_KIT),
    Sabotage("bundle/kit/document.py", "is there twice", tests=_KIT),
    Sabotage("bundle/kit/check.py", "a kit cannot be renamed", tests=_KIT),
    Sabotage("bundle/kit/check.py", "not the {pinned.size} that were signed", tests=_KIT),
    Sabotage("bundle/kit/check.py", "holds other bytes than were signed", tests=_KIT),
    Sabotage("bundle/kit/check.py", "is not of the kit", tests=_KIT),
    Sabotage("bundle/kit/check.py", "is older than what is here", tests=_KIT),
    Sabotage("bundle/kit/check.py", "raise NotTrusted(error.message, hint=", tests=_KIT),
    Sabotage("bundle/kit/check.py", "trust.check_current(now)", "pass", tests=_KIT),
    Sabotage(
        "bundle/kit/check.py",
        "trust.anywhere) or Stream((trust.root,))",
        "trust.anywhere) or next(iter(trust.streams.values()))",
        tests=_KIT,
    ),
)

SERVING = (*SERVED, *HOUSE, *KIT)
