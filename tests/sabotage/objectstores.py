"""The checks of object stores: what they say of themselves proves nothing."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_S3 = ("tests/importer/targets/test_s3_proof.py", "tests/importer/targets/test_s3_uploads.py")
_CHECK = ("tests/importer/targets/test_s3check.py",)
_LOCK = ("tests/importer/targets/test_lock.py",)
_MIRROR = ("tests/importer/ledger/test_mirror_servers.py",)
_TRITON = ("tests/importer/targets/test_triton.py",)
OBJECT_STORES = (
    Sabotage("importer/targets/s3.py", "was uploaded, but the store shows another", tests=_S3),
    Sabotage(
        "importer/targets/s3.py",
        "if self._is(key, file, self._there[key, file.digest]):",
        "if True:",
        tests=_S3,
    ),
    Sabotage(
        "importer/targets/s3.py",
        "if self._reads_back and not self._is(key, content, seen):",
        "if False:",
        tests=_S3,
    ),
    Sabotage(
        "importer/targets/s3.py",
        '            self._bucket.call("delete_object", key)\n        raise TargetError(',
        "            pass\n        raise TargetError(",
        tests=_S3,
    ),
    Sabotage("importer/targets/s3.py", "if found[0] == complete:", "if True:", tests=_S3),
    Sabotage("importer/targets/s3check.py", "raise NotReady(self._label", tests=_CHECK),
    Sabotage(
        "importer/targets/s3check.py", "problems.append(self._unknown(error))", "pass", tests=_CHECK
    ),
    Sabotage(
        "importer/targets/s3check.py",
        'if rules.get("ObjectLockEnabled") == "Enabled"',
        "if True",
        tests=_LOCK,
    ),
    Sabotage(
        "importer/targets/s3client.py",
        '"s3_redirect", {})["redirected"] = True',
        '"s3_redirect", {})',
        tests=_CHECK,
    ),
    Sabotage("importer/targets/lock.py", "has no object lock in this bucket", tests=_LOCK),
    Sabotage("importer/targets/lock.py", "is locked in governance mode", tests=_LOCK),
    Sabotage("importer/targets/lock.py", 'f"shows {_spelled(mode, until)}"', tests=_LOCK),
    Sabotage("importer/targets/lock.py", "until and until >= owed", "until", tests=_LOCK),
    Sabotage("importer/targets/lock.py", "which has begun already", tests=_LOCK),
    Sabotage("importer/ledger/mirror.py", "if head.number > number:", "if False:", tests=_MIRROR),
    Sabotage("importer/targets/triton.py", "has no numbered folder with the model"),
    Sabotage(
        "importer/targets/triton.py",
        "if not any(_SELF_EXPLAINING.fullmatch(file)",
        "if not any(True",
    ),
    Sabotage("importer/targets/triton.py", "calls the model {names[0]"),
    Sabotage("importer/targets/triton.py", "names the model more than once"),
    Sabotage("importer/targets/triton.py", "is missing"),
    Sabotage("importer/destinations.py", "names no prefix", tests=_TRITON),
    Sabotage(
        "importer/targets/uploads.py",
        "if (endpoint, bucket) == (store.endpoint, store.bucket):",
        "if True:",
        tests=_S3,
    ),
)
