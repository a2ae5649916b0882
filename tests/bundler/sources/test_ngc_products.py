"""The products that NGC lists an item under, as the lock has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from bundle.errors import SourceError
from bundler.sources.ngc import NgcSource
from bundler.sources.ngc_api import StatusError
from bundler.sources.ngc_products import Products, note, spelt
from tests.bundler.sources.items import CITRINET, LLAMA, use_key

if TYPE_CHECKING:
    from bundle.http import Http
    from bundler.sources.ngc_api import NgcApi
    from bundler.sources.ngc_reasons import Refusal
    from fixtures.ngc import Catalogue


class Fixed:
    """An API that answers, or raises, the same each time."""

    guest = False

    def __init__(self, *answers: object) -> None:
        self.answers, self.asked = list(answers), 0

    def get(self, *_arguments: Any) -> object:
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def products(api: Fixed) -> Products:
    return Products(lambda: cast("NgcApi", api))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, ""),
        ("nv-ai-enterprise", ""),
        ([], ""),
        (["b", "a", "a"], "a, b"),
        ([1, "", "a, b", "x" * 61, "line\n", "\u202eodd", " a"], ""),
        ([f"p{n:02d}" for n in range(20)], ", ".join(f"p{n:02d}" for n in range(8))),
    ],
)
def test_only_names_are_noted(found: object, said: str) -> None:
    assert spelt(found) == said
    assert note(said) == ({"entitlement": said} if said else {})


def test_only_nvcr_is_asked_about_and_each_repository_once() -> None:
    api = Fixed({"productNames": ["nv-ai-enterprise"]})
    ask = products(api)
    assert ask("registry.example.com", "nim/x") == {}
    assert ask("nvcr.io", "a/b/c/d") == {}
    assert api.asked == 0
    for _ in range(2):
        assert ask("nvcr.io", "nim/meta/x") == {"entitlement": "nv-ai-enterprise"}
    assert api.asked == 1


def test_a_refusal_says_nothing_and_a_silence_ends_the_asking() -> None:
    refused = StatusError(cast("Refusal", type("R", (), {"status": 403})()))
    api = Fixed(refused, SourceError("down"))
    ask = products(api)
    assert ask("nvcr.io", "a/b") == {}
    assert ask("nvcr.io", "a/c") == {}
    assert ask("nvcr.io", "a/d") == {}
    assert api.asked == 2


@pytest.mark.parametrize(
    ("item", "said"), [(LLAMA, {"entitlement": "nv-ai-enterprise"}), (CITRINET, {})]
)
def test_models_have_what_their_version_says(
    http: Http, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, item: Any, said: object
) -> None:
    use_key(monkeypatch, catalogue, "entitled")
    notes = NgcSource(http).resolve(item).artifact.notes
    assert {key: notes[key] for key in notes if key == "entitlement"} == said
