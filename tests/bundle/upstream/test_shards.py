"""OMS lists by shards: what is one shard is compared, what is more is refused by its name."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from fixtures.signatures import dsse
from tests.bundle.upstream.made import VENDOR
from tests.bundle.upstream.test_oms import FILES, carried, proved, refused, resources, signed

if TYPE_CHECKING:
    from collections.abc import Callable


def by_shards(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a signature over a list by shards of 1000 bytes that was changed before."""
    made = json.loads(signed(FILES, shard=1000))["dsseEnvelope"]["payload"]
    body = json.loads(base64.b64decode(made))
    change(body)
    whole = b"".join(bytes.fromhex(row["digest"]) for row in resources(body))
    body["subject"][0]["digest"]["sha256"] = hashlib.sha256(whole).hexdigest()
    return dsse(VENDOR, json.dumps(body).encode())


def renamed(name: str) -> Callable[[dict[str, Any]], object]:
    """Give the one shard of config.json another name."""
    return lambda body: resources(body)[0].update(name=name)


def cut(step: object) -> Callable[[dict[str, Any]], object]:
    """Say that shards are of another size."""
    return lambda body: body["predicate"]["serialization"].update(shard_size=step)


SHARDS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no range": (renamed("config.json"), "which is no shard"),
    "a range from behind": (renamed("config.json:0:-1"), "which is no shard"),
    "a path upwards": (renamed("../x:0:2"), "'../x', which has an"),
    "a shard twice": (lambda b: resources(b).append(resources(b)[0]), "to its end"),
    "a start that is missing": (renamed("config.json:1000:1001"), "to its end"),
    "a shard that is too long": (renamed("config.json:0:1001"), "to its end"),
    "a length beyond all bounds": (renamed(f"config.json:0:{10**15}"), "to its end"),
    "another length": (renamed("config.json:0:3"), "signs other bytes as config.json"),
    "shards of another size": (cut(999.0), "algorithm is 'sha256-sharded-1000'"),
    "shards of no size": (cut(0.0), "shard_size is 0"),
    "shards of half a byte": (cut(0.5), "not an integer: 0.5"),
    "shards of an odd size": (cut("1e3"), "shard_size must be a whole number"),
}


@pytest.mark.parametrize("name", SHARDS)
def test_an_odd_list_by_shards_is_refused_although_the_key_signed_it(name: str) -> None:
    change, says = SHARDS[name]
    refused(by_shards(change), says)


def test_a_list_by_shards_proves_files_that_are_one_shard_each() -> None:
    made, root = carried(FILES, by_shards(lambda _body: None))
    assert proved(made, root).over == root
    more = {**FILES, "empty": b""}
    refused(signed(more, shard=1000), "the file empty (it is empty: lists by shards", more)


def test_a_file_in_several_shards_is_refused_after_all_that_can_be_compared() -> None:
    several = signed(FILES, shard=100)
    refused(several, "signs weights/a.bin in 10 shards of 100 bytes, not as a whole")
    refused(several, "signs other bytes as weights/a.bin", {**FILES, "weights/a.bin": b"a" * 999})
    refused(several, "signs other bytes as weights/b.bin", {**FILES, "weights/b.bin": b"c"})
    refused(several, "does not cover the file run.sh", {**FILES, "run.sh": b"x"})
