"""Reports of five forms are read as one; what is half understood says nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bundle.gate.documents import report
from bundle.gate.finding import Report, severity_of, severity_of_score
from bundle.gate.foreign import Unreadable
from fixtures import reports
from fixtures.reports import Flaw

TWO = (
    Flaw("CVE-2026-1", "critical", fixed="3.0.2"),
    Flaw("CVE-2026-2", "low", "zlib1g", "1:1.2"),
)


def read(document: Any) -> Report:
    return report(json.dumps(document).encode(), "the report")


@pytest.mark.parametrize("form", reports.FORMS)
def test_each_form_is_told_by_what_is_in_it_and_read_as_one(form: str) -> None:
    made = read(reports.FORMS[form](*TWO))
    assert made.form == form
    assert [(one.id, one.severity, one.package) for one in made.findings] == [
        ("CVE-2026-1", "critical", "openssl"),
        ("CVE-2026-2", "low", "zlib1g"),
    ]
    assert [one.version for one in made.findings] == ["3.0.1", "1:1.2"]
    assert "3.0.2" in made.findings[0].fixed
    assert not made.findings[1].fixed
    assert made.made == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert made.about == {reports.DIGEST}
    assert made.tool.lower().startswith(("trivy", "grype"))


@pytest.mark.parametrize("form", ["trivy", "grype", "sarif", "harbor"])
def test_a_scan_that_found_nothing_is_a_report(form: str) -> None:
    assert read(reports.FORMS[form]()).findings == ()


def test_an_sbom_is_no_report_even_with_an_empty_list_of_vulnerabilities() -> None:
    """Trivy writes one into an SBOM for which it has looked for no vulnerability."""
    with pytest.raises(Unreadable, match="is no report of vulnerabilities"):
        read(reports.cyclonedx())
    with pytest.raises(Unreadable, match="is no report of vulnerabilities"):
        read(reports.spdx(("a", "MIT")))


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("CRITICAL", "critical"),
        ("Important", "high"),
        ("info", "negligible"),
        ("", "unknown"),
        ("Moderate", "medium"),
        ("UNKNOWN", "unknown"),
        ("severe", "unknown"),
        ("None", "none"),
    ],
)
def test_words_for_severities(word: str, means: str) -> None:
    assert severity_of(word) == means


@pytest.mark.parametrize(
    ("score", "means"),
    [
        (10.0, "critical"),
        (9.0, "critical"),
        (8.9, "high"),
        (7.0, "high"),
        (6.9, "medium"),
        (4.0, "medium"),
        (3.9, "low"),
        (0.1, "low"),
        (0.0, "none"),
        (11.0, "unknown"),
    ],
)
def test_scores_are_severities_as_cvss_says(score: float, means: str) -> None:
    assert severity_of_score(score) == means


def test_a_result_of_sarif_without_a_score_has_a_severity_that_nobody_knows() -> None:
    """Its level is no severity: Trivy writes error for critical and high alike."""
    document = reports.sarif(Flaw("CVE-2026-1", "odd"))
    assert read(document).findings[0].severity == "unknown"
    document["runs"][0]["tool"]["driver"]["rules"][0]["properties"]["tags"].append("HIGH")
    assert read(document).findings[0].severity == "high"


def test_what_sarif_calls_suppressed_counts_and_what_is_gone_does_not() -> None:
    document = reports.sarif(*TWO)
    document["runs"][0]["results"][0]["suppressions"] = [{"kind": "external"}]
    document["runs"][0]["results"][1]["baselineState"] = "absent"
    assert [one.id for one in read(document).findings] == ["CVE-2026-1"]


def test_a_rule_that_grype_names_after_the_package_is_the_vulnerability() -> None:
    document = reports.sarif(Flaw("CVE-2026-10001-libssl3", "high"))
    document["runs"][0]["results"][0]["message"]["text"] = "A high vulnerability in deb"
    found = read(document).findings[0]
    assert (found.id, found.package) == ("CVE-2026-10001", "libssl3")


def test_a_scan_that_did_not_end_well_says_nothing() -> None:
    document = reports.sarif()
    document["runs"][0]["invocations"][0]["executionSuccessful"] = False
    with pytest.raises(Unreadable, match="did not end well"):
        read(document)
    document["runs"] = []
    with pytest.raises(Unreadable, match="nothing was looked at"):
        read(document)


def test_secrets_and_failed_checks_of_trivy_count() -> None:
    document = reports.trivy()
    document["Results"].append(
        {
            "Target": "/app/.env",
            "Class": "secret",
            "Secrets": [{"RuleID": "aws-access-key-id", "Severity": "CRITICAL"}],
            "Misconfigurations": [
                {"ID": "DS002", "Severity": "HIGH", "Status": "FAIL"},
                {"ID": "DS001", "Severity": "HIGH", "Status": "PASS"},
            ],
        }
    )
    assert [one.id for one in read(document).findings] == ["aws-access-key-id", "DS002"]


def test_grype_names_a_vulnerability_twice_and_both_names_count() -> None:
    document = reports.grype(Flaw("GHSA-aaaa-bbbb-cccc"))
    document["matches"][0]["relatedVulnerabilities"] = [{"id": "CVE-2026-1"}]
    assert read(document).findings[0].names == {"GHSA-AAAA-BBBB-CCCC", "CVE-2026-1"}


def test_of_several_ratings_the_worst_counts_and_a_score_where_there_is_no_word() -> None:
    document = reports.cyclonedx(Flaw("CVE-2026-1", "low"))
    one = document["vulnerabilities"][0]
    one["ratings"] += [{"score": 9.1}, {"severity": "unknown"}]
    assert read(document).findings[0].severity == "critical"
    one["ratings"] = []
    assert read(document).findings[0].severity == "unknown"


LIES: dict[str, tuple[Any, str]] = {
    "no JSON": (b"<html>", "is no JSON"),
    "a list": (b"[]", "is no object"),
    "something else": (b'{"a": 1}', "is no report of vulnerabilities"),
    "the same key twice": (b'{"matches": [], "matches": [], "descriptor": {}}', "duplicate key"),
    "NaN": (b'{"matches": NaN}', "not an integer"),
    "too deep": (b"[" * 100, "nested deeper"),
    "an endless number": (b'{"a": 1' + b"0" * 500 + b"}", "a number of"),
    "another version": ({**reports.trivy(), "SchemaVersion": 3}, "is version '3', not 2"),
    "another sarif": ({**reports.sarif(), "version": "2.0.0"}, "is version '2.0.0', not 2.1.0"),
    "rows that are none": ({**reports.trivy(), "Results": [1]}, "Results[0] is no object"),
    "rows that are text": ({**reports.grype(), "matches": "no"}, "matches is no list"),
    "no id": ({**reports.harbor(), "vulnerabilities": [{}]}, "vulnerabilities[0].id is missing"),
    "an odd day": ({**reports.trivy(), "CreatedAt": "soon"}, "CreatedAt is no moment"),
    "no such day": ({**reports.trivy(), "CreatedAt": "2026-02-31T00:00:00Z"}, "is no moment"),
    "a name without end": (reports.trivy(Flaw("C" * 600)), "is longer than 512"),
    "another scanner's": (
        {**reports.grype(), "descriptor": {"name": "syft"}},
        "is by 'syft', not by grype",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_cannot_be_read_says_nothing(lie: str) -> None:
    document, said = LIES[lie]
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(Unreadable) as caught:
        report(data, "the report")
    assert said in caught.value.message
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T10:00:00.123456789Z",
        "2026-11-20T12:00:00+02:00",
        "2026-11-20 10:00:00",
        "2026-11-20T10:00:00-00:00",
        "2026-11-20T10:00:00.5+0000",
    ],
)
def test_moments_as_programs_write_them(text: str) -> None:
    assert read(reports.trivy(made=text)).made == datetime(2026, 11, 20, 10, tzinfo=UTC)


def test_numbers_that_others_write_are_no_reason_to_refuse() -> None:
    document = reports.trivy(*TWO)
    document |= {"Score": 1e300, "Big": 2**70, "Half": -0.5}
    assert len(read(document).findings) == 2
