"""A second import host, a registry and an object store between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from importer.ledger.book import Ledger
from tests import factory
from tests.refusals.table import dray

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.factory import Bundle


def images(kept: factory.Contents) -> Any:
    return factory.sample(kept, seed="mirror")[:2]


def models(kept: factory.Contents) -> Any:
    return factory.sample(kept, seed="mirror")[2:]


@pytest.fixture(params=["registry", "s3_rclone"])
def way(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[str, Bundle, Bundle]:
    """The target, an older bundle and the newest that it can hold."""
    server = request.getfixturevalue(request.param)
    if request.param == "registry":
        content, target = images, f"registry://{server.host}/{server.repository('ngc')}"
    else:
        content, target = models, f"s3://{server.bucket()}/some/prefix"
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    made = [factory.build(tmp_path / str(n), content, sequence=n) for n in (6, 7)]
    return target, made[0], made[1]


@pytest.mark.server
def test_another_host_refuses_what_the_first_would_refuse(
    way: tuple[str, Bundle, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, older, newest = way

    def load(host: str, bundle: Bundle, *options: str) -> tuple[int, str]:
        monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / host))
        words = ("import", "--to", target, "--trust", newest.trust, *options, bundle.folder)
        answer = dray(*words, folder=tmp_path)
        return answer.code, answer.err

    assert load("one", newest) == (0, "")
    assert load("two", newest) == (0, ""), "the same bundle is no replay"
    code, said = load("three", older)
    assert (code, "prod 6 is older than 7" in said) == (5, True), said
    assert "dray/ledger/" in said
    assert [one.kind for one in Ledger.open(tmp_path / "three").chain.entries][1:] == [
        "refused",
        "receipt",
    ]
    assert load("three", older, "--ignore-mirror", "a test")[0] == 0
    assert load("one", older)[0] == 5, "and its own ledger stands"


@pytest.fixture
def versioned(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str, Any]]:
    """A target in a bucket that keeps versions, the bucket and a client of it."""
    server = request.getfixturevalue("s3_versity")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(server.ca))
    client, bucket = server.client(), server.bucket()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    yield f"s3://{bucket}/some/prefix", bucket, client
    client.close()


@pytest.mark.server
@pytest.mark.parametrize("hidden", [False, True])
def test_a_head_that_was_put_back_or_deleted_has_the_true_one_behind_it(
    versioned: tuple[str, str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    hidden: bool,
) -> None:
    target, bucket, client = versioned
    older, newest = (factory.build(tmp_path / str(n), models, sequence=n) for n in (6, 7))

    def load(host: str, bundle: Bundle) -> tuple[int, str]:
        monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / host))
        words = ("import", "--to", target, "--trust", newest.trust, bundle.folder)
        answer = dray(*words, folder=tmp_path)
        return answer.code, answer.err

    assert load("one", older) == (0, "")
    place = "some/prefix/.dray/ledger/"
    keys = [e["Key"] for e in client.list_objects_v2(Bucket=bucket, Prefix=place)["Contents"]]
    (head,) = [key for key in keys if key.endswith(".json")]
    body = client.get_object(Bucket=bucket, Key=head)["Body"]
    old = body.read()
    body.close()
    assert load("one", newest) == (0, "")
    if hidden:
        client.delete_object(Bucket=bucket, Key=head)
    else:
        client.put_object(Bucket=bucket, Key=head, Body=old)
    code, said = load("two", older)
    assert (code, "prod 6 is older than 7" in said) == (5, True), said
    assert "its version" in said
