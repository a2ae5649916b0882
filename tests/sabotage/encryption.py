"""The checks of encrypted bundles, of keys in files and devices, and of what children are told."""

from __future__ import annotations

from tests.sabotage.edit import Sabotage

_FIPS = ("tests/bundle/test_fips.py",)
_SECRETS = ("tests/test_secrets.py",)
ENCRYPTION = (
    Sabotage("bundle/manifest.py", "and encryption do not say the same"),
    Sabotage("bundle/manifest.py", "is encrypted, or not, unlike the bundle"),
    Sabotage("bundle/manifest.py", "names no recipients, too many, or one twice"),
    Sabotage("bundle/view.py", "not the header that was signed"),
    Sabotage("bundle/view.py", "name the private key with --decrypt-key FILE"),
    Sabotage("bundle/view.py", "it is encrypted to: {known}"),
    Sabotage(
        "bundle/box.py", "self._header + place + bytes([segment.last])", "self._header + place"
    ),
    Sabotage("bundle/box.py", "fips.random_bytes(NONCE)", "bytes(NONCE)"),
    Sabotage("bundle/envelope.py", "or encode(rows) != header", ""),
    Sabotage("bundle/verify.py", "if isinstance(error, UsageError):", "if False:"),
    Sabotage("importer/decryptor.py", "has another key than"),
    Sabotage("importer/decryptor.py", "if len(plain) == SHARED:", "if True:"),
    Sabotage("importer/decryptor.py", "which opens nothing"),
    Sabotage("importer/decryptor.py", "is a key of the trust file"),
    Sabotage(
        "importer/decryptor.py",
        "if self._failure:",
        "if False:",
    ),
    Sabotage(
        "importer/option.py",
        "--decrypt-key and --decryptor exclude each other",
        tests=("tests/importer/test_decryptor.py",),
    ),
    Sabotage(
        "bundle/keycommand.py", "if code:", "if False:", tests=("tests/importer/test_decryptor.py",)
    ),
    Sabotage(
        "bundle/keycommand.py",
        "if base64.b64encode(plain) == text:",
        "if True:",
        tests=("tests/importer/test_decryptor.py",),
    ),
    Sabotage(
        "bundle/child.py",
        "if len(answer) > MAX_ANSWER:",
        "if False:",
        tests=("tests/bundle/test_credentials.py",),
    ),
    Sabotage("bundle/child.py", "if not name.startswith(OURS)", "", tests=_SECRETS),
    Sabotage("bundle/credentials.py", "env=environment(),", "", tests=_SECRETS),
    Sabotage("bundler/kit/wheels.py", "env=environment(),", "", tests=_SECRETS),
    Sabotage("importer/targets/s3client.py", ", env=environment()", "", tests=_SECRETS),
    Sabotage(
        "bundle/fips.py",
        "return ssl.RAND_bytes(count)",
        "return secrets.token_bytes(count)",
        tests=_FIPS,
    ),
    Sabotage(
        "importer/privatekey.py",
        'fips.refuse(f"{path} is encrypted',
        'str(f"{path} is',
        tests=_FIPS,
    ),
)
