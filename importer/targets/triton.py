"""Triton's model repository: where a model's files go so that it is loaded, or why it would not be.

Source: Triton Inference Server, "Model Repository" and "Model Configuration". Every folder at the
top of a repository is a model to the server, and one that cannot be loaded ends it; so nothing but
models may be there, and what cannot be loaded is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CONFIG = "config.pbtxt"
LIMIT = 1 << 20
"""Bytes of a configuration: Triton has none, and none needs more."""
_ASIDE = ".files"
"""The folder in a model's for what belongs to none: Triton passes over all but numbers."""
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_ENDING = re.compile(r"([0-9]{1,18})(?:\.[0-9]+)*$")
_DEFINITION = re.compile(
    r"model\.(?:onnx|plan|savedmodel|xml|graphdef|pt|py|dali|json|ckpt|netdef|txt)"
)
_SELF_EXPLAINING = re.compile(r"model\.(?:onnx|plan|savedmodel|xml)")
"""What Triton derives a configuration from by itself ("Auto-Generated Model Configuration")."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<mark>[{}<>\[\]:;,])|(?P<word>[^\s{}<>\[\]:;,"'\#]+)"""
)
_OPEN = {"{": "}", "[": "]", "<": ">"}


class Unloadable(ValueError):
    """Why Triton could not load it; ``hint`` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass(frozen=True, slots=True)
class Arranged:
    """``places`` are paths below the repository, by the files' own paths.

    ``models`` are the folders that they make models of, ``owned`` those that nothing else may use,
    ``mark`` is the folder for the marker, and ``configs`` are the paths of configurations, each
    with the folder whose name it has to have.
    """

    models: tuple[str, ...]
    owned: tuple[str, ...]
    mark: str
    places: Mapping[str, str]
    configs: Mapping[str, str]


def arrange(name: str, version: str, paths: Iterable[str]) -> Arranged:
    """Return where the files of a model go; ``name`` is its folder if they do not bring their own.

    Raises :class:`Unloadable`.
    """
    paths = sorted(paths)
    if any(_NUMBER.fullmatch(path.split("/")[0]) and "/" in path for path in paths):
        found = _model(name, {path: path for path in paths})
    elif any(_DEFINITION.fullmatch(path.split("/")[0]) for path in paths):
        found = _flat(name, version, paths)
    elif CONFIG in paths:
        raise Unloadable(
            f"{CONFIG} is there, and no numbered folder with the model, nor a file model.*",
            "Triton wants a numbered folder, even an empty one of an ensemble",
        )
    else:
        found = _repository(paths)
    for model in found.models:
        _check(model, {place for place in found.places.values() if place.startswith(f"{model}/")})
    return found


def number(version: str) -> int:
    """Return Triton's number for a version of NGC: the first part of a number at its end.

    ``3`` is 3, ``deployable_v2.1`` is 2; what has none there, or begins with 0, is 1.
    """
    found = _ENDING.search(version)
    return max(1, int(found[1])) if found else 1


def _model(name: str, inner: Mapping[str, str]) -> Arranged:
    """Return the files of one model; ``inner`` has their paths in its folder."""
    if not _NAME.fullmatch(name):
        raise Unloadable(
            f"no model of Triton can be called {name[:100]!r}", "name it with a map: rule"
        )
    places = {path: f"{name}/{place}" for path, place in inner.items()}
    configs = {path: name for path, place in inner.items() if place == CONFIG}
    return Arranged((name,), (name,), name, places, configs)


def _flat(name: str, version: str, paths: list[str]) -> Arranged:
    """Return a model whose files were given without their folders."""
    folder = f"{number(version)}"
    beside = {CONFIG, *(path for path in paths if "/" not in path and path.endswith("labels.txt"))}
    inner = {path: path if path in beside else f"{folder}/{path}" for path in paths}
    made = _model(name, inner)
    if CONFIG in paths:
        return made
    # No file is shared between the numbers: each of them may come and go by itself.
    places = {path: f"{name}/{folder}/{path}" for path in paths}
    where = f"{name}/{folder}"
    return Arranged(made.models, (where,), where, places, {})


def _repository(paths: list[str]) -> Arranged:
    """Return models that came as a whole repository, such as an ensemble and its parts."""
    models: dict[str, None] = {}
    for path in paths:
        first, *rest = path.split("/")
        if rest and (rest == [CONFIG] or (len(rest) > 1 and _NUMBER.fullmatch(rest[0]))):
            models[first] = None
    if not models:
        raise Unloadable(
            f"there is neither a numbered folder, nor a file model.*, nor {CONFIG}",
            "no repository of Triton can be made of it: send it to another target",
        )
    first = next(iter(models))
    places = {
        path: path if path.split("/")[0] in models else f"{first}/{_ASIDE}/{path}" for path in paths
    }
    configs = {f"{model}/{CONFIG}": model for model in models if f"{model}/{CONFIG}" in places}
    return Arranged(tuple(models), tuple(models), first, places, configs)


def _check(model: str, places: set[str]) -> None:
    if not _NAME.fullmatch(model):
        raise Unloadable(f"no model of Triton can be called {model[:100]!r}")
    inner = [place.removeprefix(f"{model}/").split("/") for place in places]
    numbers = {parts[0] for parts in inner if len(parts) > 1 and _NUMBER.fullmatch(parts[0])}
    if not numbers:
        raise Unloadable(
            f"{model} has no numbered folder with the model",
            "Triton wants one, even of an ensemble, where it may hold any file",
        )
    if [CONFIG] in inner:
        return
    for one in sorted(numbers):
        files = {parts[1] for parts in inner if parts[0] == one and len(parts) > 1}
        if not any(_SELF_EXPLAINING.fullmatch(file) for file in files):
            raise Unloadable(
                f"{model} has no {CONFIG}, and {one}/ no model.onnx, .plan, .savedmodel or .xml",
                "Triton can derive a configuration from these alone: the model needs one",
            )


def check_size(size: int) -> None:
    """Raise :class:`Unloadable` for what is too long for a configuration."""
    if size > LIMIT:
        raise Unloadable(f"{CONFIG} is longer than {LIMIT} bytes")


def check_config(data: bytes, folder: str) -> None:
    """Raise :class:`Unloadable` when a configuration says that its model is called otherwise.

    ``data`` is protobuf's text format. Only what would keep Triton from loading it is looked at.
    """
    check_size(len(data))
    try:
        names = list(_names(data.decode("utf-8")))
    except UnicodeDecodeError:
        raise Unloadable(f"{CONFIG} is not UTF-8") from None
    if len(names) > 1:
        raise Unloadable(f"{CONFIG} names the model more than once")
    if names and names[0] != folder:
        raise Unloadable(
            f"{CONFIG} calls the model {names[0][:100]!r}, and its folder is {folder!r}",
            f"Triton wants both alike: a map: rule with to: {names[0][:100]}",
        )


def _names(text: str) -> Iterator[str]:
    """Yield the values of ``name`` at the top of a message in text format."""
    closing: list[str] = []
    before: list[str] = []
    for kind, token in _tokens(text):
        if kind == "mark" and token in _OPEN:
            closing.append(_OPEN[token])
        elif kind == "mark" and token in _OPEN.values():
            if not closing or closing.pop() != token:
                raise Unloadable(f"{CONFIG} is no text format of protobuf: {token} closes nothing")
        elif kind == "text" and not closing and before[-2:] == ["name", ":"]:
            yield _unquoted(token)
        before = [*before[-1:], token]
    if closing:
        raise Unloadable(f"{CONFIG} is no text format of protobuf: {closing[-1]} is missing")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            line = text.count("\n", 0, position) + 1
            raise Unloadable(f"{CONFIG} is no text format of protobuf: line {line}")
        position = found.end()
        if (kind := found.lastgroup or "") != "skip":
            yield kind, found[kind]


def _unquoted(token: str) -> str:
    """Return a string's value; a name with escapes fits no folder, so they stay as they are."""
    return token[1:-1]
