"""A NIM's model manifest: its profiles, what each is made for, and the files that it needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl

from bundle.artifact import path_fault
from bundler import ngcnames
from bundler.sources import plaintree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bundler.nimprofiles import Wanted
    from bundler.sources.plaintree import Tree

AUTO: Final = "auto"
ANY_GPU: Final = frozenset({"gpu", "gpu_device", "product_name_regex", "compute_capability"})
"""Tags that tie a profile to a GPU (NIM docs, "Model Profiles"; k8s-nim-operator, nimparser)."""
_MOST: Final = 20_000
_NAME: Final = r"[!-~]{1,200}"


class Weight(NamedTuple):
    """A file of an NGC model; an empty ``file`` is all files of that version."""

    org: str
    team: str
    name: str
    version: str
    file: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile: ``tags`` say what it is made for, ``weights`` what it needs.

    ``foreign`` are URIs of files that do not come from NGC.
    """

    id: str
    tags: Mapping[str, str]
    weights: tuple[Weight, ...]
    foreign: tuple[str, ...] = ()

    @property
    def runs_anywhere(self) -> bool:
        """Whether it is tied to no GPU: no tag names one, and its engine is not compiled for one.

        TensorRT engines are compiled for one GPU; TensorRT-LLM profiles that are built where they
        run carry the tag ``trtllm_buildable``.
        """
        if any(self.tags.get(key, "").lower() not in {"", "any"} for key in ANY_GPU):
            return False
        engine = self.tags.get("llm_engine") or self.tags.get("backend") or ""
        built = self.tags.get("trtllm_buildable", "").lower() == "true"
        return built or "tensorrt" not in engine.lower()

    def __str__(self) -> str:
        tags = ", ".join(f"{key}: {value}" for key, value in sorted(self.tags.items()))
        return f"{self.id} {{{tags}}}"


def parse(data: bytes) -> tuple[Profile, ...]:
    """Read a manifest of schema 1 (profiles by id), of its older list, or of schema 2.

    Source: k8s-nim-operator, internal/nimparser; NIM docs, "Model Download". Raises ``ValueError``
    with the reason for anything else, and for a file that no model can have.
    """
    tree = plaintree.read(data, local_tags=True)
    if not isinstance(tree, dict):
        raise ValueError("it is no mapping")
    found = tuple(_profiles(tree))
    if len({profile.id for profile in found}) != len(found):
        raise ValueError("two of its profiles have one id")
    return found


def _profiles(tree: dict[str, Tree]) -> Iterator[Profile]:
    if "schema_version" in tree:
        version = _text(tree, "schema_version")
        if version.split(".")[0] != "2":
            raise ValueError(f"its schema_version is {version[:40]!r}, which dray does not know")
        yield from _listed(tree.get("profiles"), "profiles")
    elif "manifest" in tree:
        yield from _listed(tree["manifest"], "manifest")
    else:
        for name, body in tree.items():
            yield _profile(name, _mapping(body, f"profile {name[:80]!r}"))


def _listed(value: Tree, what: str) -> Iterator[Profile]:
    for item in _list(value, what):
        body = _mapping(item, f"an entry of {what}")
        yield _profile(_text(body, "id"), body)


def _profile(name: str, body: dict[str, Tree]) -> Profile:
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"{name[:80]!r} is no id of a profile")
    what = f"profile {name[:80]!r}"
    tags = _mapping(body.get("tags"), f"tags of {what}")
    if not all(re.fullmatch(r"[ -~]{0,400}", key + _plain(value)) for key, value in tags.items()):
        raise ValueError(f"a tag of {what} is no short plain text")
    workspace = _mapping(body.get("workspace"), f"workspace of {what}")
    uris = list(dict.fromkeys((*_files(workspace, what), *_components(workspace, what))))
    if len(uris) > _MOST:
        raise ValueError(f"{what} has more than {_MOST} files")
    ours = [uri for uri in uris if uri.startswith("ngc://")]
    return Profile(
        id=name,
        tags={key: _plain(value) for key, value in tags.items()},
        weights=tuple(weight(uri) for uri in ours),
        foreign=tuple(uri for uri in uris if not uri.startswith("ngc://")),
    )


def _files(workspace: dict[str, Tree], what: str) -> Iterator[str]:
    """Yield the URIs of schema 2: ``files: {name: {uri: …}}``."""
    for name, body in _mapping(workspace.get("files"), f"files of {what}").items():
        yield _text(_mapping(body, f"file {name[:80]!r} of {what}"), "uri")


def _components(workspace: dict[str, Tree], what: str) -> Iterator[str]:
    """Yield the URIs of schema 1: ``components: [{src: {repo_id: …, files: […]}}]``."""
    for item in _list(workspace.get("components"), f"components of {what}"):
        source = _mapping(_mapping(item, f"a component of {what}").get("src"), f"src of {what}")
        if not source:
            continue
        repo = _text(source, "repo_id")
        uri = repo if "://" in repo else f"ngc://{repo}"
        names = _list(source.get("files"), f"files of {what}")
        if not names:
            yield uri
        for name in names:
            # Each is text, or a mapping from its name to where it is to lie.
            for text in name if isinstance(name, dict) else [_plain(name)]:
                yield f"{uri}?file={text}"


def weight(uri: str) -> Weight:
    """Read ``ngc://org[/team]/model:version[?file=name]``; raise ``ValueError`` for anything else.

    Source: NIM docs, "Model Download", URI format.
    """
    head, _, query = uri.removeprefix("ngc://").partition("?")
    where, _, version = head.partition(":")
    words = where.split("/")
    good = len(words) in {2, 3} and all(re.fullmatch(ngcnames.WORD, word) for word in words)
    if not good or not re.fullmatch(ngcnames.VERSION, version):
        raise ValueError(f"{uri[:200]!r} names no version of an NGC model")
    file = _file(query, uri) if query else ""
    return Weight(words[0], words[1] if len(words) == 3 else "", words[-1], version, file)


def _file(query: str, uri: str) -> str:
    if not query.startswith("file="):
        raise ValueError(f"{uri[:200]!r} asks for something that is no file")
    name = query.removeprefix("file=")
    if "%" in name:
        name = dict(parse_qsl(query.replace("+", "%2B"))).get("file", "")
    if fault := path_fault(name):
        raise ValueError(f"{uri[:200]!r} has a file whose name {fault}")
    return name


def select(profiles: Sequence[Profile], wanted: Sequence[Wanted]) -> tuple[Profile, ...]:
    """Return the profiles that are wanted, in the manifest's order.

    ``auto`` are all that run on any GPU: which one a GPU prefers is decided by the container on the
    machine that has it. Raises ``ValueError`` that says which of ``wanted`` matches none.
    """
    chosen: set[str] = set()
    for want in wanted:
        found = {profile.id for profile in profiles if _matches(profile, want)}
        if not found:
            raise ValueError(_spelled(want))
        chosen |= found
    return tuple(profile for profile in profiles if profile.id in chosen)


def _matches(profile: Profile, want: Wanted) -> bool:
    if want == AUTO:
        return profile.runs_anywhere
    if isinstance(want, str):
        return profile.id == want
    return all(profile.tags.get(key, "").lower() == value.lower() for key, value in want)


def _spelled(want: Wanted) -> str:
    if want == AUTO:
        return "no profile runs on any GPU"
    if isinstance(want, str):
        return f"no profile has the id {want}"
    return "no profile has " + ", ".join(f"{key}: {value}" for key, value in want)


def _plain(value: Tree) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("it has a list or a mapping where a text should be")
    return value


def _text(tree: dict[str, Tree], key: str) -> str:
    value = tree.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"it has no text as {key!r} where one should be")
    return value


def _list(value: Tree, what: str) -> list[Tree]:
    if value is not None and not isinstance(value, list):
        raise ValueError(f"{what} is no list")
    return value or []


def _mapping(value: Tree, what: str) -> dict[str, Tree]:
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{what} is no mapping")
    return value or {}
