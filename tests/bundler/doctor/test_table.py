"""Every row of the table of refusals (docs/doctor.md): what NGC does, and what people are told."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from fixtures.certificates import Authority
from fixtures.ngc import Access
from tests.bundler.doctor.patients import (
    CITRINET,
    CUDA,
    DETECTOR,
    GPU_OPERATOR,
    LLAMA,
    NIM,
    OLD_NIM,
    PRIVATE_CHART,
    WEIGHTS,
    everything,
    of,
    secrets,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundler.doctor.findings import Verdict
    from tests.bundler.doctor.patients import Ward

SUBSCRIPTIONS = "https://org.ngc.nvidia.com/subscriptions"
PAGES = "https://catalog.ngc.nvidia.com/orgs"


@dataclass(frozen=True)
class Row:
    """A row: how it comes about, what is asked for, and the finding that there must be.

    ``code`` is the exit code of the whole; ``request`` tells that NGC's request id is kept.
    """

    name: str
    upset: Callable[[Ward], object]
    entries: Mapping[str, str]
    item: str
    check: str
    verdict: Verdict
    case: str
    words: tuple[str, ...]
    code: int = 6
    key: str = "personal"
    request: bool = False
    quiet: tuple[str, ...] = field(default=())


def nothing(_ward: Ward) -> None:
    """Leave NGC as it is."""


def unreadable(ward: Ward) -> None:
    file = ward.config("")
    file.unlink()
    file.mkdir()  # a folder can't be read, whoever asks


def other_home(ward: Ward) -> None:
    ward.monkeypatch.setenv("NGC_CLI_CONFIG_DIR", str(ward.home))


def literal(ward: Ward) -> None:
    ward.monkeypatch.setenv("NGC_API_KEY", "$NGC_API_KEY")


def revoked(name: str) -> Callable[[Ward], object]:
    def upset(ward: Ward) -> None:
        ward.catalogue.keys[name].revoked = True

    return upset


def without_services(ward: Ward) -> None:
    ward.catalogue.keys["personal"].services = ("ai-playgrounds",)


def without_roles(ward: Ward) -> None:
    ward.catalogue.keys["personal"].roles = False


def refusing(status: int) -> Callable[[Ward], object]:
    def upset(ward: Ward) -> None:
        ward.catalogue.filesets["models", CITRINET].refusal = status

    return upset


def only_the_image(ward: Ward) -> None:
    for name in ("nim/meta/llama-3.1-8b-instruct", "nim/meta/llama3-8b-instruct"):
        ward.catalogue.repositories[name].access = Access.PUBLIC


def terms(ward: Ward) -> None:
    ward.catalogue.repositories["nvidia/cuda"].terms = True


def not_a_team_member(ward: Ward) -> None:
    # The key is of the org, and its user not of the team.
    ward.ngc.faults.add("(vision/detector|repository:abc)", status=403, times=None)
    ward.ngc.faults.add("GET nvcr.io/proxy_auth", status=403, times=None)


def no_tags(ward: Ward) -> None:
    ward.catalogue.repositories["nvidia/cuda"].tags.clear()


def without_tag(ward: Ward) -> None:
    ward.catalogue.delete_tag("nvidia/cuda", CUDA.rpartition(":")[2])


def skewed(ward: Ward) -> None:
    then = email.utils.formatdate(time.time() + 900, usegmt=True)
    ward.ngc.faults.add("HEAD ", headers={"Date": then}, times=None)


def blocked(ward: Ward) -> None:
    ward.own["layers.nvcr.io"] = "{endpoint: 'https://127.0.0.1:1'}"


def opened(ward: Ward) -> None:
    other = Authority(ward.home, "Not That CA").ca_file
    ward.own["nvcr.io"] = f"{{endpoint: '{ward.ngc.url('nvcr.io')}', ca: '{other}'}}"


def expired(ward: Ward) -> None:
    ward.ngc.faults.add("GET xfiles", before=ward.ngc.passes.expire_urls, times=None)


MODEL = f"ngc: {CITRINET}:deployable_v2.0.0"
ROWS = [
    Row(
        "no key",
        nothing,
        {"images": DETECTOR},
        "NGC key",
        "key",
        "warn",
        "no-key",
        ("as a guest", "NGC_API_KEY"),
        key="",
    ),
    Row(
        "no key, a private image",
        nothing,
        {"images": DETECTOR},
        DETECTOR,
        "access",
        "fail",
        "no-key",
        ("not given to guests (403)", "set NGC_API_KEY"),
        key="",
    ),
    Row(
        "a config that is there and can't be read",
        unreadable,
        {"images": CUDA},
        "NGC key",
        "key",
        "fail",
        "unreadable",
        (".ngc/config can't be read by uid", "does not go on as a guest"),
        code=2,
        key="",
    ),
    Row(
        "NGC_CLI_CONFIG_DIR is set",
        other_home,
        {"images": CUDA},
        "NGC_CLI_CONFIG_DIR",
        "key",
        "warn",
        "config-dir",
        ("not read by NGC's tools", "set NGC_CLI_HOME"),
        code=0,
        key="",
    ),
    Row(
        "a malformed key",
        literal,
        {"images": CUDA},
        "NGC key",
        "key",
        "fail",
        "malformed",
        ("NGC_API_KEY does not hold an NGC key", "begins with a $"),
        code=2,
        key="",
    ),
    Row(
        "a legacy key that was replaced",
        revoked("legacy"),
        {"models": MODEL},
        "NGC key",
        "key",
        "fail",
        "legacy-rejected",
        ("authn.nvidia.com does not take the legacy key", "revoked or replaced?", "newest"),
        key="legacy",
    ),
    Row(
        "a legacy key that is good",
        nothing,
        {"models": f"ngc: {WEIGHTS}"},
        "NGC key",
        "key",
        "ok",
        "legacy-key",
        ("legacy key", "abc123xyz, other456org"),
        code=0,
        key="legacy",
    ),
    Row(
        "a legacy key whose user is not in the org",
        lambda ward: setattr(ward.catalogue.keys["legacy"], "orgs", ("other456org",)),
        {"models": f"ngc: {WEIGHTS}"},
        WEIGHTS,
        "seen",
        "fail",
        "not-a-member",
        ("its user is not a member of org 'abc123xyz'", "owner of org 'abc123xyz'"),
        key="legacy",
        request=True,
    ),
    Row(
        "a personal key that is expired, revoked or mistyped",
        revoked("personal"),
        {"models": f"ngc: {WEIGHTS}"},
        "NGC key",
        "key",
        "fail",
        "key-rejected",
        ("expired, revoked or mistyped", "NGC_API_KEY", "/setup/api-keys"),
        request=True,
    ),
    Row(
        "a personal key of org A, an image in private org B",
        nothing,
        {"images": DETECTOR},
        DETECTOR,
        "access",
        "fail",
        "other-org",
        ("belongs to org 'other456org'", "in org 'abc123xyz'", "use a key made in org 'abc123xyz'"),
        key="stranger",
    ),
    Row(
        "a personal key of org A, a model in private org B",
        nothing,
        {"models": f"ngc: {WEIGHTS}"},
        WEIGHTS,
        "seen",
        "fail",
        "other-org",
        ("belongs to org 'other456org'", "in org 'abc123xyz'", "use a key made in org 'abc123xyz'"),
        key="stranger",
        request=True,
    ),
    Row(
        "a personal key of org A, a public image of another org",
        nothing,
        {"images": CUDA},
        CUDA,
        "bytes",
        "ok",
        "",
        (),
        code=0,
        key="stranger",
    ),
    Row(
        "a personal key without the service",
        without_services,
        {"images": CUDA},
        "NGC key",
        "key",
        "fail",
        "no-service",
        ("lacks the service NGC Catalog", "ai-playgrounds", "/setup/api-keys"),
    ),
    Row(
        "a service key",
        nothing,
        {"images": DETECTOR},
        "NGC key",
        "key",
        "ok",
        "service-key",
        ("service key", "of org abc123xyz", "right for nightly runs"),
        code=0,
        key="service",
    ),
    Row(
        "a personal key whose user has no role",
        without_roles,
        {"images": CUDA},
        "NGC key",
        "key",
        "fail",
        "no-roles",
        ("its user has no role in the org", "owner of org 'abc123xyz'"),
    ),
    Row(
        "a NIM without entitlement",
        nothing,
        {"nims": f"image: {NIM}"},
        NIM,
        "access",
        "fail",
        "entitlement",
        ("403 with the key, 403 without", "Developer Program", "NVAIE", SUBSCRIPTIONS),
    ),
    Row(
        "a NIM's weights though its image pulls",
        only_the_image,
        {"nims": f"image: {NIM}"},
        f"weights ngc/{LLAMA}",
        "seen",
        "fail",
        "weights",
        ("the image can be had, but not the model files", "403", SUBSCRIPTIONS),
        request=True,
        quiet=(NIM,),
    ),
    Row(
        "You do not have access to this resource",
        lambda ward: setattr(
            ward.catalogue.filesets["models", CITRINET], "access", Access.ENTITLED
        ),
        {"models": MODEL},
        CITRINET,
        "seen",
        "fail",
        "entitlement",
        ("You do not have access to this resource.", "personal key of org 'abc123xyz'", "NVAIE"),
        request=True,
    ),
    Row(
        "the right org, and not the team",
        not_a_team_member,
        {"images": DETECTOR},
        DETECTOR,
        "access",
        "fail",
        "team",
        ("though it is of the right org", "a role in team 'vision'"),
    ),
    Row(
        "terms of a model that are not accepted",
        nothing,
        {"models": "ngc: nvidia/needs_terms:1.0"},
        "needs_terms",
        "access",
        "fail",
        "terms",
        ("terms", "(412)", f"{PAGES}/nvidia/models/needs_terms?version=1.0"),
        request=True,
    ),
    Row(
        "terms of an image that are not accepted",
        terms,
        {"images": CUDA},
        CUDA,
        "access",
        "fail",
        "terms",
        ("(412)", "in a browser", f"{PAGES}/nvidia/containers/cuda"),
    ),
    Row(
        "a legal block",
        refusing(451),
        {"models": MODEL},
        CITRINET,
        "seen",
        "fail",
        "legal",
        ("for legal reasons (451)", "another location"),
        request=True,
    ),
    Row(
        "a payment that is asked for",
        refusing(402),
        {"models": MODEL},
        CITRINET,
        "seen",
        "fail",
        "payment",
        ("subscription", "(402)", SUBSCRIPTIONS),
        request=True,
    ),
    Row(
        "an empty list is an error",
        no_tags,
        {"images": '{name: nvcr.io/nvidia/cuda, tags: "12.*"}'},
        "nvcr.io/nvidia/cuda",
        "access",
        "fail",
        "empty",
        ("lists no tags at all", "short name", "right to it"),
    ),
    Row(
        "an org's shown name for its short one",
        nothing,
        {"models": "ngc: Example-Works/vision/detector_weights:1.0"},
        "Example-Works",
        "seen",
        "fail",
        "not-found",
        ("did you mean org 'abc123xyz'?",),
        key="legacy",
        request=True,
    ),
    Row(
        "not found, or not visible to this key: a model",
        nothing,
        {"models": "ngc: abc123xyz/secret:1.0"},
        "secret",
        "seen",
        "fail",
        "not-found",
        ("not found, or not visible to", f"{PAGES}/abc123xyz/models/secret"),
        request=True,
    ),
    Row(
        "not found, or not visible to this key: an image",
        nothing,
        {"images": "nvcr.io/abc123xyz/secret:1"},
        "secret",
        "access",
        "fail",
        "not-found",
        ("not found, or not visible to", f"{PAGES}/abc123xyz/containers/secret"),
    ),
    Row(
        "a tag that is gone",
        without_tag,
        {"images": CUDA},
        CUDA,
        "version",
        "fail",
        "gone",
        ("gone upstream", "nearest tags: ", "12.6.0-runtime-ubuntu22.04", "an older bundle"),
    ),
    Row(
        "a version of a model that is gone",
        nothing,
        {"models": f"ngc: {CITRINET}:deployable_v2.0"},
        CITRINET,
        "version",
        "fail",
        "gone",
        ("no such version", "'deployable_v2.0.0'"),
        request=True,
    ),
    Row(
        "a key in the way of a public index",
        nothing,
        {"charts": GPU_OPERATOR},
        "gpu-operator",
        "access",
        "ok",
        "key-in-the-way",
        ("read without a credential", "403"),
        code=0,
    ),
    Row(
        "a chart of another org",
        nothing,
        {"charts": PRIVATE_CHART},
        "llm-stack",
        "access",
        "fail",
        "other-org",
        ("403 with the key, 401 without", "use a key made in org 'abc123xyz'"),
        key="stranger",
    ),
    Row(
        "a signed URL that is refused at once",
        expired,
        {"models": MODEL},
        CITRINET,
        "bytes",
        "fail",
        "",
        ("refuses a URL that was just signed", "clock of this host"),
    ),
    Row(
        "a clock that is wrong",
        skewed,
        {"images": CUDA},
        "clock",
        "clock",
        "warn",
        "clock-skew",
        ("clock of this host is", "s behind that of", "NTP"),
        code=0,
    ),
    Row(
        "a host that is blocked",
        blocked,
        {"images": CUDA},
        "host layers.nvcr.io",
        "reach",
        "fail",
        "blocked-host",
        ("layers.nvcr.io can't be reached", "allow hosts: nvcr.io, layers.nvcr.io, api.ngc"),
    ),
    Row(
        "TLS that is opened on the way",
        opened,
        {"images": CUDA},
        "host nvcr.io",
        "reach",
        "fail",
        "tls-inspection",
        ("certificate that is not trusted", "issued by 'Emulated NGC CA'", "REQUESTS_CA_BUNDLE"),
    ),
    Row(
        "the image of a NIM and its weights",
        nothing,
        {"nims": f"image: {OLD_NIM}"},
        f"weights ngc/{LLAMA}",
        "bytes",
        "ok",
        "",
        (),
        code=0,
        key="entitled",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_row_is_told(ward: Ward, row: Row) -> None:
    ward.key(row.key)
    row.upset(ward)
    report = ward.examine(**row.entries)
    (found,) = of(report, row.item, row.check)
    assert (found.verdict, found.case) == (row.verdict, row.case), text_of(found)
    assert [words for words in row.words if words not in text_of(found)] == [], text_of(found)
    assert bool(found.request) or not row.request
    error = report.error()
    assert (error.exit_code if error else 0) == row.code, [text_of(f) for f in report.failures]
    for item in row.quiet:
        assert not [finding for finding in of(report, item) if finding.verdict == "fail"]
    assert not [secret for secret in secrets(ward.catalogue) if secret in everything(report)]
