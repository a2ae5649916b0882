"""The checklist before production: each line by a record, and never by a guess."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bundle.account import Account
from tests import factory
from tests.importer.promote.making import CRITICAL, LOW, Site, build
from tests.refusals.table import dray

if TYPE_CHECKING:
    from pathlib import Path

    from tests.refusals.table import Answer

WHEN = "2026-11-20T10:00:00Z"
ORG = {"kind": "service", "checked": WHEN, "org": "acme", "products": ["artifact-catalog"]}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, build(tmp_path, LOW))
    said(made, ORG)
    answer = dray("receipt", "keygen", "--no-passphrase", folder=tmp_path)
    assert answer.code == 0
    made.policy()
    return made


def said(site: Site, account: dict[str, Any] | None) -> None:
    """Have the signed manifest say as whom NGC was asked."""

    def change(body: dict[str, Any]) -> None:
        body.pop("account", None)
        if account:
            body["account"] = account

    site.bundle.lie(change)


def ask(site: Site, *more: object, code: int = 7) -> Answer:
    answer = dray("checklist", *more, folder=site.folder)
    assert answer.code == code, answer
    return answer


def answers(site: Site, *more: object, code: int = 7) -> dict[str, str]:
    body = json.loads(ask(site, "--json", *more, code=code).out)
    assert body["ready"] is (code == 0)
    return {row["check"]: row["answer"] for row in body["checks"]}


def test_all_is_yes_when_every_record_says_so(site: Site) -> None:
    site.load()
    site.promote()
    done = ask(site, code=0)
    assert "yes      org-key      a service key of org acme  [manifest sha256:" in done.out
    assert "yes      entitlement  org acme was given 3 artifacts of NGC, 2026-11-20" in done.out
    assert "yes      cve-gate     2 images passed policy sha256:" in done.out
    assert set(answers(site, code=0).values()) == {"yes"}


def test_what_lies_in_the_quarantine_is_not_ready(site: Site) -> None:
    site.load()
    assert answers(site)["cve-gate"] == "no"
    assert "dray promote" in ask(site).out


def test_what_was_imported_past_the_gates_is_not_known(site: Site) -> None:
    site.quarantine = ""
    site.load()
    assert answers(site)["cve-gate"] == "unknown"


@pytest.mark.parametrize(
    ("account", "key", "entitlement"),
    [
        ({**ORG, "kind": "personal"}, "no", "yes"),
        ({**ORG, "kind": "legacy"}, "no", "yes"),
        ({"kind": "guest", "checked": WHEN}, "no", "unknown"),
        (None, "unknown", "unknown"),
    ],
)
def test_another_key_than_an_orgs(
    site: Site, account: dict[str, Any] | None, key: str, entitlement: str
) -> None:
    said(site, account)
    site.load()
    site.promote()
    found = answers(site)
    assert (found["org-key"], found["entitlement"]) == (key, entitlement)


def test_a_gate_that_was_overridden_is_a_no(tmp_path: Path, site: Site) -> None:
    site.bundle = build(tmp_path / "bad", CRITICAL)
    said(site, ORG)
    site.load()
    site.promote("--override", "ticket 4711")
    assert answers(site) == {
        "record": "yes",
        "org-key": "yes",
        "pinned": "yes",
        "entitlement": "yes",
        "import": "yes",
        "cve-gate": "no",
    }
    assert "overridden: ticket 4711" in ask(site).out


def test_an_image_that_no_report_is_about_was_not_judged(tmp_path: Path, site: Site) -> None:
    site.bundle = factory.build(tmp_path / "bare")
    said(site, ORG)
    site.load()
    site.policy("max-severity: high\nreports: {optional: ['*']}")
    site.promote()
    assert answers(site)["cve-gate"] == "no"


def test_an_import_of_some_kinds_is_not_complete(site: Site) -> None:
    site.load("--only", "image")
    site.promote()
    assert answers(site)["import"] == "no"


def test_a_receipt_that_nobody_signed_is_no_record(site: Site, isolated: Path) -> None:
    for path in isolated.rglob("receipt.key"):
        path.unlink()
    site.load()
    site.promote()
    assert answers(site)["record"] == "no"


def test_a_signature_by_a_key_that_is_not_here_is_not_known(site: Site, isolated: Path) -> None:
    site.load()
    site.promote()
    (public,) = isolated.rglob("receipt.pub")
    elsewhere = site.folder / "high.pub"
    public.rename(elsewhere)
    assert answers(site)["record"] == "unknown"
    assert answers(site, "--receipt-pub", elsewhere, code=0)["record"] == "yes"


def test_without_any_import_there_is_no_checklist(site: Site) -> None:
    assert "nothing was loaded at this host yet" in ask(site, code=2).err


def test_an_account_reads_back() -> None:
    made = Account("service", WHEN, "acme", ("a",))
    assert made.to_dict() == {**ORG, "products": ["a"]}
