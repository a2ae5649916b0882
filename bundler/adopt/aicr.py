"""The output of ``aicr mirror list`` in its own format, YAML or JSON.

Source: NVIDIA AI Cluster Runtime, ``pkg/mirror`` (``MirrorList``) and docs/user/air-gap-mirror.md.
What failed while the list was made stands in ``warnings``, and the command ends with 0 even so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bundler.adopt.found import Chart, place_of, set_fields

if TYPE_CHECKING:
    from bundle.decode import Fields
    from bundle.strictyaml import Document
    from bundler.adopt.found import Found

_KEYS: Final = ("images", "charts", "components", "metadata", "warnings")
_TYPES: Final = ("helm", "kustomize")


def is_aicr(value: object) -> bool:
    """Whether a document has the form of such a list: it has no kind to tell it by."""
    return (
        isinstance(value, dict) and "kind" not in value and {"images", "components"} <= set(value)
    )


def read(document: Document, found: Found) -> None:
    """Take what the list names; its warnings have to be acknowledged.

    Raises :class:`bundle.errors.UsageError` with the place of what is unknown, or contradicts
    itself.
    """
    fields = set_fields(document.value, (), document)
    images = dict(enumerate(fields.texts("images")))
    why = _components(fields, document, found)
    for text in _warnings(fields):
        found.warn(place_of(document, ("warnings",)), f"aicr: {text}")
    about = fields.child("metadata")
    for key in ("recipeVersion", "criteria"):
        about.text(key, "")
    about.done(("recipeVersion", "criteria"))
    charts = [_chart(item, document) for item in fields.objects("charts")]
    fields.done(_KEYS)
    _check_same(document, set(images.values()), set(why))
    for number, text in images.items():
        names = ", ".join(why[text])
        found.image(text, place_of(document, ("images", number)), why=f"of {names}")
    found.charts += charts


def _components(fields: Fields, document: Document, found: Found) -> dict[str, list[str]]:
    """Return the components that need each image; their warnings are kept."""
    why: dict[str, list[str]] = {}
    for path, value in fields.items("components"):
        inner = set_fields(value, path, document)
        name = inner.text("component")
        inner.text("type", "", choices=_TYPES)
        for image in inner.texts("images"):
            why.setdefault(image, []).append(name)
        for text in _warnings(inner):
            found.warn(place_of(document, (*path, "warnings")), f"aicr about {name}: {text}")
        inner.done(("component", "type", "images", "warnings"))
    return why


def _warnings(fields: Fields) -> list[str]:
    """Return the warnings, whatever their length: some hold all that helm has printed."""
    items = list(fields.items("warnings"))
    if odd := next((path for path, item in items if not isinstance(item, str)), None):
        raise fields.fault(odd, "must be text", "")
    return [str(item) for _, item in items]


def _check_same(document: Document, images: set[str], needed: set[str]) -> None:
    if images == needed:
        return
    one = sorted(images ^ needed)[0]
    where = "images" if one in needed else "components"
    raise document.fault(
        (where,),
        f"{one[:200]!r} is missing here, and is in the other list of this file",
        "make the list anew: aicr mirror list --format yaml",
    )


def _chart(item: Fields, document: Document) -> Chart:
    place = place_of(document, item.path)
    component, namespace = item.text("name", ""), item.text("namespace", "")
    repo, name, version = (item.text(key) for key in ("repository", "chart", "version"))
    item.done(("name", "repository", "chart", "version", "namespace"))
    for key, text in (("repository", repo), ("chart", name), ("version", version)):
        if not text:
            raise item.wrong(key, "is empty", "name it in the recipe, and list again")
    said = f"of {component}" + (f", into namespace {namespace}" if namespace else "")
    return Chart(repo, name, version, place, why=said if component else "")
