"""The one document of a kit that is signed; see ``schemas/README.md``, "Kit"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle.decode import Fields, dump_json, parse_json, spell
from bundle.errors import DrayError, VerificationError

if TYPE_CHECKING:
    from bundle.decode import Path
    from bundle.digest import Digest

MEDIA_TYPE = "application/vnd.dray.kit.v1+json"
FORMAT = "1.0"
MAX_BYTES = 4 << 20
"""The largest document that is read, in bytes."""
WHEELS, STANDALONE = "wheels", "standalone"
PLATFORMS = {"amd64": "x86_64", "arm64": "aarch64"}
"""What the kernel calls a platform's machine, by what OCI calls it."""
NAME = r"dray-kit-[0-9][0-9a-z.]{0,39}-linux-(?:amd64|arm64)(?:-musl)?(?:-standalone)?"
_VERSION = r"[0-9][0-9a-z.]{0,39}"
_PACKAGE = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_MAX_FILES, _MAX_PACKAGES = 32, 500


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file beside the document."""

    name: str
    size: int
    digest: Digest

    def to_dict(self) -> dict[str, Any]:
        """Return the row; the stock command of README.txt counts on its order."""
        return {"name": self.name, "size": self.size, "digest": str(self.digest)}


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel that is in a kit, or a tool that made it: what its publisher's index gives out.

    ``file`` is its name in the tar's folder ``wheels``; empty where only its content is there.
    ``pythons`` are those that it is for (``3.11``).
    """

    name: str
    version: str
    wheel: str
    size: int
    digest: Digest
    pythons: tuple[str, ...] = ()
    file: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the row."""
        body: dict[str, Any] = {"name": self.name, "version": self.version, "wheel": self.wheel}
        body |= {"file": self.file} if self.file else {}
        body |= {"size": self.size, "digest": str(self.digest)}
        return body | ({"pythons": list(self.pythons)} if self.pythons else {})


@dataclass(frozen=True, slots=True)
class KitDocument:
    """What a kit is, and what it holds.

    ``libc`` is ``glibc`` or ``musl`` and the oldest version of it that the kit runs on.
    ``interpreter`` is the version of the Python that is inside, of a standalone kit; ``tools`` are
    what made that one.
    """

    version: str
    platform: str
    libc: tuple[str, str]
    pythons: tuple[str, ...]
    packages: tuple[Package, ...]
    files: tuple[Pinned, ...] = ()
    interpreter: str = ""
    tools: tuple[Package, ...] = ()

    @property
    def kind(self) -> str:
        """``wheels`` for hosts that have a Python, ``standalone`` for those that need not."""
        return STANDALONE if self.interpreter else WHEELS

    @property
    def name(self) -> str:
        """The name of the folder, and what the files' names begin with."""
        ending = ("-musl" if self.libc[0] == "musl" else "") + (
            "-standalone" if self.interpreter else ""
        )
        return f"dray-kit-{self.version}-{self.platform.replace('/', '-')}{ending}"

    @property
    def versions(self) -> dict[str, str]:
        """The version of each package; the highest where there are several."""
        from bundle.kit.versions import key  # noqa: PLC0415  (not for --help)

        ordered = sorted(self.packages, key=lambda package: key(package.version))
        return {package.name: package.version for package in ordered}

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed."""
        body: dict[str, Any] = {"mediaType": MEDIA_TYPE, "formatVersion": FORMAT}
        body |= {"kind": self.kind, "version": self.version, "platform": self.platform}
        body |= {"machine": PLATFORMS[self.platform.partition("/")[2]]}
        body |= {"libc": {"name": self.libc[0], "version": self.libc[1]}}
        body |= {"pythons": list(self.pythons)}
        body |= {"interpreter": self.interpreter} if self.interpreter else {}
        body |= {"packages": [package.to_dict() for package in self.packages]}
        body |= {"tools": [tool.to_dict() for tool in self.tools]} if self.tools else {}
        body |= {"files": [file.to_dict() for file in self.files]} if self.files else {}
        return dump_json(body)


def read(data: bytes, *, what: str = "kit") -> KitDocument:
    """Read a document whose signature was verified; raise :class:`VerificationError`.

    Fields that are not known are passed over; a major version that is not known is refused.
    """

    def fault(path: Path, message: str, hint: str) -> DrayError:
        where = f": {spell(path)}" if path else ""
        hint = hint or "it was signed so: ask the low side which dray made it"
        return VerificationError(f"{what}{where} {message}", hint=hint)

    try:
        document = parse_json(data, limit=MAX_BYTES)
    except ValueError as error:
        raise fault((), f"is not strict JSON: {error}", "") from None
    fields = Fields(document, (), fault)
    fields.text("mediaType", choices=[MEDIA_TYPE])
    version = fields.text("formatVersion", pattern=r"[0-9]+\.[0-9]+", limit=12)
    if version.partition(".")[0] != FORMAT.partition(".")[0]:
        raise fields.wrong("formatVersion", f"is {version}", "a newer kit takes a newer dray")
    kind = fields.text("kind", choices=[WHEELS, STANDALONE])
    made = KitDocument(
        version=fields.text("version", pattern=_VERSION),
        platform=fields.text("platform", choices=[f"linux/{name}" for name in PLATFORMS]),
        libc=_libc(fields.child("libc")),
        pythons=fields.texts("pythons", pattern=r"3\.[0-9]{1,3}"),
        interpreter=fields.text("interpreter", pattern=_VERSION) if kind == STANDALONE else "",
        packages=_packages(fields, "packages"),
        tools=_packages(fields, "tools"),
        files=_files(fields),
    )
    tar = f"{made.name}.tar"
    if tar not in {file.name for file in made.files}:
        raise fields.wrong("files", f"does not pin {tar}")
    return made


def _libc(fields: Fields) -> tuple[str, str]:
    name = fields.text("name", choices=["glibc", "musl"])
    return name, fields.text("version", pattern=r"[0-9]{1,3}\.[0-9]{1,3}")


def _packages(fields: Fields, key: str) -> tuple[Package, ...]:
    found = [_package(item) for item in fields.objects(key)]
    if len(found) > _MAX_PACKAGES:
        raise fields.wrong(key, f"are {len(found)}, more than {_MAX_PACKAGES}")
    return tuple(found)


def _package(item: Fields) -> Package:
    return Package(
        name=item.text("name", pattern=_PACKAGE),
        version=item.text("version", pattern=r"[A-Za-z0-9._!+-]{1,60}"),
        wheel=item.text("wheel", pattern=r"[A-Za-z0-9._!+-]{1,250}\.whl"),
        size=item.integer("size"),
        digest=item.digest("digest"),
        pythons=item.texts("pythons", pattern=r"3\.[0-9]{1,3}"),
        file=item.text("file", "", pattern=r"[A-Za-z0-9._!+-]{1,99}"),
    )


def _files(fields: Fields) -> tuple[Pinned, ...]:
    found: dict[str, Pinned] = {}
    for item in fields.objects("files", required=True):
        name = item.text("name", pattern=r"README\.txt|" + NAME + r"\.[a-z0-9.]{1,40}")
        if name in found:
            raise item.wrong("name", f"{name!r} is there twice")
        found[name] = Pinned(name, item.integer("size"), item.digest("digest"))
    if len(found) > _MAX_FILES:
        raise fields.wrong("files", f"are {len(found)}, more than {_MAX_FILES}")
    return tuple(found.values())


def is_name(text: str) -> bool:
    """Whether a folder of this name is taken for a kit's."""
    return re.fullmatch(NAME, text) is not None
