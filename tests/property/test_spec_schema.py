"""The spec's schema and its reader say the same, as far as a schema can say it."""

from __future__ import annotations

import copy
import json
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

import schemas
from bundle import reference
from bundle.errors import UsageError
from bundle.gate.finding import SEVERITIES
from bundler import entries, nimprofiles, spec

if TYPE_CHECKING:
    from bundler.spec import Spec

PATH = Path(__file__).with_name("dray.yaml")  # a CA file is looked for beside it
CA = Path(__file__).name
VALIDATOR = schemas._validator()(schemas.load("spec"))  # made once: that takes most of the time


def text(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True)


HEX = text("[0-9a-f]{64}")
DIGESTS = HEX.map("sha256:{}".format)
TAGS = text("[A-Za-z0-9_][A-Za-z0-9._-]{0,8}")
PORTS = st.just("") | st.integers(1, 65535).map(":{}".format)
HOSTS = st.builds("{}{}".format, text(r"[a-z0-9]{1,5}(-[a-z0-9]{1,3})?\.[a-z]{2}"), PORTS)
REPOSITORIES = st.builds(
    "{}/{}".format, HOSTS, text(r"[a-z0-9]{1,6}((\.|_|__|-+)[a-z0-9]{1,4})?(/[a-z0-9]{1,6}){0,2}")
).filter(lambda name: not name.startswith("docker.io"))
PLATFORMS = st.just("all") | st.lists(
    text(r"[a-z0-9._-]{1,6}/[a-z0-9._-]{1,6}(/v[0-9])?"), min_size=1, max_size=3, unique=True
)
PINNED = (
    st.builds("{}:{}".format, REPOSITORIES, TAGS)
    | st.builds("{}@{}".format, REPOSITORIES, DIGESTS)
    | st.builds("{}:{}@{}".format, REPOSITORIES, TAGS, DIGESTS)
)
PATTERNS = st.sampled_from([">=24.12-py3, <26", "24.*-py3", "*", "=1", "!=v2, >v1"])
CHART_NAMES = text("[a-z0-9]{1,6}(-[a-z0-9]{1,4})?")
VERSIONS = text(r"v?[0-9]{1,3}(\.[0-9]{1,3}){0,2}(-rc\.[0-9])?(\+[0-9a-z]{1,4})?")
NGC = text(r"[a-z0-9]{1,5}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,4}){1,2}:[A-Za-z0-9][A-Za-z0-9._+~-]{0,4}")
FILE_PATHS = text(r"[a-z0-9]{1,5}(/[a-zA-Z0-9_-]{1,5}){0,2}\.[a-z]{1,3}")
URLS = st.builds("https://{}/{}".format, HOSTS, FILE_PATHS)


def objects(
    required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


IMAGES = (
    PINNED
    | objects({"name": PINNED}, platforms=PLATFORMS)
    | objects({"name": REPOSITORIES, "tag": TAGS}, platforms=PLATFORMS, digest=DIGESTS)
    | objects({"name": REPOSITORIES, "digest": DIGESTS}, platforms=PLATFORMS)
    | objects({"name": REPOSITORIES, "tags": PATTERNS}, platforms=PLATFORMS)
)
CHARTS = (
    st.builds(
        "oci://{}/{}:{}".format,
        REPOSITORIES,
        CHART_NAMES,
        VERSIONS.map(lambda v: v.replace("+", "_")),
    )
    | objects(
        {
            "repo": st.builds("{}://{}".format, st.sampled_from(["https", "oci"]), REPOSITORIES),
            "name": CHART_NAMES,
            "version": VERSIONS,
        },
        images=st.sampled_from(["none", "discover"]),
    )
    | objects(
        {
            "repo": st.builds("https://{}".format, REPOSITORIES),
            "name": CHART_NAMES,
            "version": VERSIONS,
            "images": st.just("discover"),
        },
        answers=st.dictionaries(
            text("[a-z.: ]{1,20}"), st.sampled_from(["skip", "carry"]) | PINNED
        ),
        values=st.dictionaries(text("[a-z]{1,9}"), st.booleans() | st.integers(0, 9), max_size=3),
    )
)
MODELS = objects({"ngc": NGC})
FILES = objects(
    {"url": URLS, "sha256": HEX | DIGESTS}, path=FILE_PATHS, size=st.integers(0, 2**53 - 1)
)
HF = objects(
    {"repo": text("[A-Za-z0-9]{1,5}/[A-Za-z0-9][A-Za-z0-9._-]x"), "commit": text("[0-9a-f]{40}")}
)
PROFILES = text("[a-z0-9][a-z0-9:.-]{0,9}") | st.dictionaries(
    text("[a-z_]{1,9}"), text("[a-z0-9]{1,9}") | st.integers(0, 99) | st.booleans(), min_size=1
)
NIMS = objects({"image": PINNED}, profiles=st.lists(PROFILES, max_size=2))
REGISTRIES = st.dictionaries(
    HOSTS,
    objects({}, endpoint=HOSTS.map("https://{}".format), ca=st.just(CA))
    | objects({"plain-http": st.booleans()}, ca=st.just(CA))
    | objects({"plain-http": st.just(True), "endpoint": HOSTS.map("http://{}/".format)}),
    max_size=2,
)


def lists(entry: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(entry, max_size=2, unique_by=json.dumps)


SIGNING_KEYS = [
    {"name": "a", "file": CA},
    {"name": "b", "pgp": CA, "fingerprint": "0123 " * 10},
    {"name": "c", "ngc": "containers", "fingerprint": "sha256:" + "0" * 64},
]
RULES = text("[!-~]{1,9}") | objects(
    {"match": text("[!-~]{1,9}")}, keys=st.lists(st.sampled_from("abc"), max_size=2)
)
NAMES = st.lists(text("[!-~](?:[ -~]{0,5}[!-~])?"), min_size=1, max_size=2)
LICENSES = objects(
    {"allow": NAMES}, deny=NAMES, unknown=st.sampled_from(["refuse", "pass"])
) | objects({"deny": NAMES}, match=text("[!-~]{1,9}"))
POLICIES = objects(
    {"signing-keys": st.just(SIGNING_KEYS)},
    **{
        "require-signature": st.lists(RULES, max_size=2),
        "max-severity": st.sampled_from(SEVERITIES)
        | st.lists(
            objects(
                {"severity": st.sampled_from(SEVERITIES)},
                **{"match": text("[!-~]{1,9}"), "fixable-only": st.booleans()},
            ),
            min_size=1,
            max_size=2,
        ),
        "unknown-severity": st.sampled_from(SEVERITIES),
        "reports": objects(
            {},
            **{
                "max-age": st.integers(1, 9999).map("{}d".format),
                "optional": st.lists(text("[!-~]{1,9}"), max_size=2),
                "scanners": st.lists(text("[!-~]{1,9}"), max_size=2),
            },
        ),
        "licenses": st.lists(LICENSES, max_size=2),
    },
) | objects(
    {"max-severity": st.sampled_from(SEVERITIES)},
    allow=st.lists(
        objects(
            {
                "id": text("[A-Z]{3}-[0-9]{4}-[0-9]{4}"),
                "reason": text("[a-z](?:[a-z ]{0,9}[a-z])?"),
                "until": st.dates(date(2026, 1, 1), date(2099, 1, 1)).map(str),
            },
            match=text("[!-~]{1,9}"),
            package=text("[!-~]{1,9}"),
        ),
        max_size=2,
    ),
    vex=st.lists(
        objects({"file": st.just(CA)}) | objects({"carried": text("[!-~]{1,9}")}), max_size=2
    ),
)
SPECS = objects(
    {
        "apiVersion": st.just("dray/v1"),
        "stream": text("[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"),
        "images": st.lists(IMAGES, min_size=1, max_size=3, unique_by=json.dumps),
    },
    platforms=PLATFORMS,
    charts=lists(CHARTS),
    models=lists(MODELS),
    resources=lists(MODELS),
    files=lists(FILES),
    hf=lists(HF),
    nims=lists(NIMS),
    nodes=st.none()
    | objects(
        {},
        os=st.lists(text("[a-z][a-z0-9.]{0,9}"), max_size=2),
        kernels=st.lists(text("[0-9][0-9a-z.-]{0,9}"), max_size=2),
    ),
    policy=st.none() | POLICIES,
    scan=st.none()
    | objects(
        {},
        **{"with": st.lists(st.sampled_from(["trivy", "grype", "syft"]), max_size=2)},
        sbom=st.sampled_from(["cyclonedx", "spdx", "none"]),
    ),
    registries=st.none() | REGISTRIES,
    expires=st.integers(1, 9999).map("{}d".format),
)


def read(document: object) -> Spec:
    return spec.parse(json.dumps(document, ensure_ascii=False).encode(), PATH)


def reads(document: object) -> bool:
    try:
        read(document)
    except UsageError:
        return False
    return True


def obeys(document: object) -> bool:
    return bool(VALIDATOR.is_valid(document))


@settings(deadline=None, max_examples=60)
@given(SPECS)
def test_a_spec_that_can_be_written_obeys_the_schema_and_is_read(document: dict[str, Any]) -> None:
    VALIDATOR.validate(document)
    try:
        made = read(document)
    except UsageError as error:
        # Two spellings of one entry are two different objects to a schema.
        assume("stands here twice" not in error.message)
        raise
    assert made.stream == document["stream"]
    for key in ("images", "charts", "models", "resources", "files", "hf", "nims", "registries"):
        assert len(getattr(made, key)) == len(document.get(key) or [])


BASE: dict[str, Any] = {
    "apiVersion": "dray/v1",
    "stream": "nvidia-ai",
    "platforms": ["linux/amd64"],
    "images": [
        "nvcr.io/nvidia/cuda:12.6.0",
        {"name": "nvcr.io/a/b", "tag": "x", "platforms": "all"},
        {"name": "nvcr.io/a/c", "tags": ">=1"},
        {"name": "nvcr.io/a/d", "digest": "sha256:" + "0" * 64},
        {"name": "nvcr.io/a/e:1", "platforms": ["linux/amd64"]},
    ],
    "charts": [
        "oci://nvcr.io/a/b:1.0.0",
        {"repo": "https://a.b/c", "name": "d", "version": "1.0.0", "images": "none"},
        {
            "repo": "https://a.b/c",
            "name": "e",
            "version": "1.0.0",
            "images": "discover",
            "answers": {"values.yaml: image": "nvcr.io/a/b:1", "values.yaml: x": "skip"},
            "values": {"a": {"b": True}},
        },
    ],
    "models": [{"ngc": "a/b/c:1"}],
    "resources": [{"ngc": "a/c:1"}],
    "files": [{"url": "https://a.b/c", "sha256": "0" * 64, "path": "d/e", "size": 1}],
    "hf": [{"repo": "a/b", "commit": "0" * 40}],
    "nims": [{"image": "nvcr.io/a/b:1", "profiles": ["auto"]}],
    "nodes": {"os": ["ubuntu22.04"], "kernels": ["5.15.0"]},
    "policy": {
        "signing-keys": SIGNING_KEYS,
        "require-signature": ["nvcr.io/*", {"match": "x", "keys": ["a", "b"]}],
        "max-severity": [{"match": "*", "severity": "high", "fixable-only": True}],
        "unknown-severity": "medium",
        "reports": {"max-age": "7d", "optional": ["a"], "scanners": ["Trivy"]},
        "allow": [{"id": "CVE-2026-1", "reason": "why", "until": "2027-01-31", "package": "x"}],
        "vex": [{"file": CA}, {"carried": "*"}],
        "licenses": [{"match": "*", "allow": ["MIT"], "deny": ["GPL-*"], "unknown": "pass"}],
    },
    "scan": {"with": ["trivy", "syft"], "sbom": "spdx"},
    "registries": {"a.b": {"endpoint": "https://c.d", "plain-http": False, "ca": CA}},
    "expires": "180d",
}


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += places(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            found += places(item, (*path, number))
    return found


def at(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**53),
    st.sampled_from(["", "a", "a/b", "A.b/c:1", "a.b/c", "a.b/c:1", "latest", "*", "1.0", "all"]),
    st.sampled_from(
        ["https://a.b", "HTTPS://a.b/c", "http://a.b/c", "https://a.b?x", "oci://a.b/c"]
    ),
    st.sampled_from(["180d\n", "0d", "a.b/c:1\n", "https://a..b/c", "a..b/c:1", "https://ä.b/c"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.lists(st.sampled_from(["linux/amd64", "a", 1, None]), max_size=2),
    st.dictionaries(st.sampled_from(["name", "ngc", "url", "a.b", "x"]), st.just("y"), max_size=2),
)
INSERTS = st.sampled_from(["\n", " ", "@", ":", "/", "..", "A", "ü", "#", "?", "-", "_", ".", "0"])


@st.composite
def mutations(draw: st.DrawFn) -> object:
    document: Any = copy.deepcopy(BASE)
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(places(document)[1:]))
        inner = at(document, tuple(way))
        match draw(st.sampled_from(["replace", "remove", "add", "damage", "damage"])):
            case "replace":
                inner[last] = draw(JUNK)
            case "remove":
                del inner[last]
            case "add" if isinstance(inner, dict):
                inner[draw(st.sampled_from(["nmae", "tag", "tags", "digest", "A.b", "kind"]))] = "x"
            case "damage" if isinstance(inner[last], str):
                value = inner[last]
                place = draw(st.integers(0, len(value)))
                inner[last] = (
                    value[:place] + draw(INSERTS) + value[place + draw(st.integers(0, 1)) :]
                )
            case _:
                inner[last] = draw(JUNK)
    return document


@settings(deadline=None, max_examples=100)
@given(mutations())
def test_what_the_schema_refuses_is_refused(document: object) -> None:
    assert obeys(document) or not reads(document)


def test_the_base_of_the_mutations_is_a_spec() -> None:
    schemas.validate("spec", BASE)
    assert read(BASE).stream == "nvidia-ai"


def test_the_schema_knows_the_keys_that_the_reader_knows() -> None:
    properties = schemas.load("spec")["properties"]
    assert set(properties) == set(spec.KEYS)
    for key in spec.KEYS:
        assert properties[key]["description"], key


def test_patterns_are_the_same_on_both_sides() -> None:
    schema = json.dumps(schemas.load("spec"))
    for pattern in (
        entries.CHART_VERSION,
        nimprofiles.PROFILE,
        nimprofiles.TAG,
        spec.OS,
        spec.KERNEL,
    ):
        assert json.dumps(f"^{pattern.replace('(?:', '(')}$") in schema
    assert re.fullmatch(reference.HOST, "nvcr.io:443")
