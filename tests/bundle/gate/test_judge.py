"""Verdicts: what is above the limit is refused, and so is everything that nobody knows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from bundle.errors import UsageError
from bundle.gate import vex
from bundle.gate.assess import Assessment, refusal
from bundle.gate.carried import Evidence
from bundle.gate.judge import FAIL, PASS, SKIPPED, Check
from bundle.gate.spdx import Declared
from fixtures.reports import DIGEST, Flaw, openvex, statement
from tests.bundle.gate.made import Store, evidence, gates, judge

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = Store().image()
CHART = replace(IMAGE, kind="chart", name="charts/app:1", repository="charts/app")
TWO = Store().image("nvcr.io/nvidia/two:1", "linux/amd64", "linux/arm64")
CRITICAL, HIGH = Flaw("CVE-2026-1", "critical"), Flaw("CVE-2026-2", "high", fixed="3.0.2")
LOW = Flaw("CVE-2026-3", "low", "zlib")
ALLOWED = """
max-severity: low
allow:
  - {id: CVE-2026-1, until: 2026-12-31, reason: not reachable, match: nvcr.io/nvidia/*}
"""


def verdict(text: str, *flaws: Flaw, form: str = "trivy") -> Check:
    return judge(text).severity(IMAGE, [evidence(IMAGE, *flaws, form=form)])


@pytest.mark.parametrize("form", ["trivy", "grype", "sarif", "harbor", "cyclonedx"])
def test_what_is_above_the_limit_is_refused_and_each_is_named(form: str) -> None:
    found = verdict("max-severity: low", CRITICAL, HIGH, LOW, form=form)
    assert found.result == FAIL
    assert found.summary == "3 found, 2 above low"
    assert [fault.split(",")[0].split(" (")[0] for fault in found.faults] == [
        "CVE-2026-1 critical openssl 3.0.1",
        "CVE-2026-2 high openssl 3.0.1",
    ]
    assert verdict("max-severity: high", HIGH, LOW, form=form).result == PASS
    assert verdict("max-severity: none", LOW, form=form).result == FAIL


def test_the_first_entry_that_is_about_an_artifact_decides() -> None:
    text = "max-severity: [{match: '*/cuda', severity: critical}, {severity: none}]"
    assert verdict(text, CRITICAL).result == PASS
    made = judge(text)
    other = replace(IMAGE, name="nvcr.io/x:1", repository="nvcr.io/x")
    assert made.severity(other, [evidence(other, LOW)]).result == FAIL
    only = judge("max-severity: [{match: nvcr.io/x, severity: none}]")
    assert only.severity(IMAGE, []).result == SKIPPED


def test_with_fixable_only_what_nobody_has_mended_passes() -> None:
    text = "max-severity: [{severity: low, fixable-only: true}]"
    assert verdict(text, CRITICAL).result == PASS
    assert verdict(text, HIGH).result == FAIL


def test_a_severity_that_nobody_knows_counts_as_the_worst_unless_told_otherwise() -> None:
    odd = Flaw("CVE-2026-9", "unknown")
    assert verdict("max-severity: high", odd).result == FAIL
    assert verdict("max-severity: high\nunknown-severity: medium", odd).result == PASS


def test_no_report_is_refused_unless_told_otherwise_and_other_kinds_need_none() -> None:
    made = judge("max-severity: critical\nreports: {optional: [nvcr.io/base/*]}")
    assert made.severity(IMAGE, []).faults == ("no report about linux/amd64",)
    base = replace(IMAGE, name="nvcr.io/base/x:1", repository="nvcr.io/base/x")
    assert made.severity(base, []).result == SKIPPED
    assert made.severity(CHART, []).result == SKIPPED
    assert made.severity(CHART, [], ["the report cannot be read"]).result == FAIL


def test_each_platform_of_an_index_needs_a_report() -> None:
    made = judge("max-severity: critical")
    machines = [content for content in TWO.contents if content.platform]
    one = evidence(TWO)
    about = [
        replace(
            one,
            subjects=frozenset({str(content.digest)}),
            report=replace(one.report, about=frozenset()),
        )
        for content in machines
    ]
    assert made.severity(TWO, about).result == PASS
    assert made.severity(TWO, about[:1]).faults == ("no report about linux/arm64",)
    assert made.severity(TWO, [one]).faults == (
        "no report about linux/amd64",
        "no report about linux/arm64",
    )
    assert made.severity(TWO, [evidence(TWO, form="harbor")]).result == PASS


def test_a_report_about_something_else_does_not_count() -> None:
    made = judge("max-severity: critical")
    other = evidence(IMAGE)
    swapped = Evidence(
        replace(other.report, about=frozenset({DIGEST})), frozenset({str(IMAGE.root)}), "it"
    )
    found = made.severity(IMAGE, [swapped])
    assert "is about something else: sha256:1111" in found.faults[0]
    assert found.faults[1] == "no report about linux/amd64"


def test_old_reports_do_not_count_nor_those_of_no_day_and_of_the_future() -> None:
    made = judge("max-severity: critical\nreports: {max-age: 7d}")
    for day, said in (
        ("2026-11-14T00:00:00Z", "is older than 7 days"),
        ("2026-11-24T00:00:00Z", "is from the future"),
        ("", "does not say when it was made"),
    ):
        found = made.severity(IMAGE, [evidence(IMAGE, made=day)])
        assert said in found.faults[0]
        assert found.result == FAIL
    assert made.severity(IMAGE, [evidence(IMAGE, made="2026-11-16T00:00:00Z")]).result == PASS
    old, new = (evidence(IMAGE, made=f"2026-11-{day}T00:00:00Z") for day in ("01", "21"))
    assert made.severity(IMAGE, [old, new]).evidence == ("Trivy 0.58.1 of 2026-11-21",)


def test_only_reports_of_the_scanners_that_are_named_count() -> None:
    made = judge("max-severity: critical\nreports: {scanners: [Grype]}")
    found = made.severity(IMAGE, [evidence(IMAGE)])
    assert "reports are taken from Grype" in found.faults[0]
    assert made.severity(IMAGE, [evidence(IMAGE, form="grype")]).result == PASS


def test_of_two_scanners_the_worse_severity_counts() -> None:
    made = judge("max-severity: medium")
    both = [evidence(IMAGE, Flaw("CVE-2026-1", word)) for word in ("low", "high")]
    for order in (both, both[::-1]):
        assert made.severity(IMAGE, order).summary == "1 found, 1 above medium"


@pytest.mark.parametrize(
    ("text", "weaker"),
    [
        ("max-severity: medium\nunknown-severity: low", {"severity": "unknown"}),
        ("max-severity: [{severity: low, fixable-only: true}]", {"fixed": ""}),
        (ALLOWED, {"aliases": ("CVE-2026-1",)}),
    ],
    ids=["no severity", "nothing that mends it", "a name that is allowed"],
)
def test_a_second_report_takes_nothing_from_what_the_first_one_says(
    text: str, weaker: dict[str, object]
) -> None:
    strict = evidence(IMAGE, HIGH)
    (finding,) = strict.report.findings
    second = replace(finding, **{"severity": "critical"} | weaker)  # type: ignore[arg-type]
    weak = replace(strict, report=replace(strict.report, findings=(second,)))
    assert judge(text).severity(IMAGE, [weak]).result == PASS
    for both in ([strict, weak], [weak, strict]):
        found = judge(text).severity(IMAGE, both)
        assert found.faults == ("CVE-2026-2 high openssl 3.0.1 (fixed in 3.0.2), says trivy",)
        assert not found.excused


def test_a_finding_of_two_lines_is_one_row_of_the_refusal() -> None:
    flaw = Flaw("CVE-1\n  nvcr.io/other:1", "critical")
    found = verdict("max-severity: low", flaw)
    refused = refusal([Assessment(IMAGE, (found,))], "policy.yaml")
    assert refused
    assert refused.message.splitlines()[1:] == [
        f"  {IMAGE.name}",
        r"    severity: CVE-1\n  nvcr.io/other:1 critical openssl 3.0.1, says trivy",
    ]


def test_what_is_allowed_passes_until_its_day_has_ended_and_then_counts_again() -> None:
    found = verdict(ALLOWED, CRITICAL)
    assert found.result == PASS
    assert found.summary == "1 found, 0 above low, 1 let through"
    assert found.excused[0].by == "allowed until 2026-12-31"
    assert found.excused[0].reason == "not reachable"
    for day, result in ((datetime(2026, 12, 31, 23), PASS), (datetime(2027, 1, 1), FAIL)):
        late = judge(ALLOWED, now=day.replace(tzinfo=UTC))
        found = late.severity(IMAGE, [evidence(IMAGE, CRITICAL)])
        assert found.result == result
    assert found.faults[0].endswith("was allowed until 2026-12-31: not reachable")


def test_what_is_allowed_is_allowed_in_what_matches_and_in_one_package() -> None:
    elsewhere = ALLOWED.replace("nvcr.io/nvidia", "nvcr.io/nim")
    assert verdict(elsewhere, CRITICAL).result == FAIL
    packaged = ALLOWED.replace("until", "package: zlib, until")
    assert verdict(packaged, CRITICAL).result == FAIL
    assert verdict(ALLOWED, HIGH).result == FAIL


def test_entries_that_nothing_needed_are_known() -> None:
    made = judge(ALLOWED)
    made.severity(IMAGE, [evidence(IMAGE, LOW)])
    assert made.idle() == ["CVE-2026-1"]
    made.severity(IMAGE, [evidence(IMAGE, CRITICAL)])
    assert made.idle() == []


@pytest.mark.parametrize(
    ("status", "result"),
    [("not_affected", PASS), ("fixed", PASS), ("under_investigation", FAIL), ("affected", FAIL)],
)
def test_vex_lets_through_what_does_not_affect_and_nothing_else(status: str, result: str) -> None:
    said = openvex(statement("CVE-2026-1", "nvcr.io/nvidia/cuda", status))
    document = vex.parse(json.dumps(said).encode(), "nvidia.json")
    found = judge("max-severity: low", vex=[document]).severity(IMAGE, [evidence(IMAGE, CRITICAL)])
    assert found.result == result
    said_by = "VEX by NVIDIA PSIRT, nvidia.json"
    if result == PASS:
        assert found.excused[0].by == said_by
    else:
        assert said_by in found.faults[0]


def test_licences_are_refused_by_name_and_where_nobody_knows_them() -> None:
    known = [Declared("a 1", "MIT", "spdx"), Declared("b 2", "AGPL-3.0-only", "spdx")]
    unknown = Declared("c 3", "", "spdx")
    deny = judge("licenses: [{deny: [AGPL-*]}]")
    assert deny.licenses(IMAGE, known).faults == ("b 2: AGPL-3.0-only is not allowed",)
    assert deny.licenses(IMAGE, [unknown]).result == PASS
    assert deny.licenses(IMAGE, []).result == PASS
    allow = judge("licenses: [{allow: [MIT, AGPL-*]}]")
    assert allow.licenses(IMAGE, known).result == PASS
    assert allow.licenses(IMAGE, [unknown]).faults == ("c 3: its licence is not known",)
    assert allow.licenses(IMAGE, []).faults == ("no licence is known of it",)
    assert allow.licenses(IMAGE, known, ["it cannot be read"]).result == FAIL
    lenient = judge("licenses: [{allow: [MIT], unknown: pass}, {match: x, deny: ['*']}]")
    assert lenient.licenses(IMAGE, [unknown]).result == PASS
    assert judge("licenses: [{match: x, deny: ['*']}]").licenses(IMAGE, known).result == SKIPPED


LIES = {
    "max-severity: severe": "is 'severe'",
    "max-severity: []": "max-severity",
    "max-severity: [{severity: low, fixable: true}]": "did you mean",
    "allow: [{id: CVE-1, reason: x, until: 2026-01-01}]": "nothing limits them",
    "vex: [{carried: '*'}]": "nothing limits them",
    "max-severity: low\nallow: [{id: CVE-1, until: 2026-01-01}]": "'reason' is missing",
    "max-severity: low\nallow: [{id: CVE-1, reason: x}]": "'until' is missing",
    "max-severity: low\nallow: [{id: CVE-1, reason: x, until: 2026-02-30}]": "there is no day",
    'max-severity: low\nallow: [{id: C-1, reason: x, until: 2027-01-31, package: ""}]': "is empty",
    "max-severity: low\nallow: [{id: CVE-1, reason: x, until: never}]": "is not allowed",
    "max-severity: low\nvex: [{file: nowhere.json}]": "there is no file",
    "max-severity: low\nvex: [{file: x, carried: y}]": "exactly one of file and carried",
    "reports: {max-age: 7}": "must be text",
    "licenses: [{match: x}]": "needs allow or deny",
    "licenses: [{allow: [MIT], unknown: maybe}]": "is 'maybe'",
}


@pytest.mark.parametrize("text", LIES)
def test_a_policy_that_is_wrong_is_refused_with_its_place(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        gates(text, tmp_path)
    assert LIES[text] in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.message.startswith("policy.yaml:")
