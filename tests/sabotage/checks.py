"""The checks that stand between a lie and a target, each of which some test must miss."""

from __future__ import annotations

from tests.sabotage.documents import DOCUMENTS
from tests.sabotage.edit import Sabotage
from tests.sabotage.encryption import ENCRYPTION
from tests.sabotage.gates import GATES
from tests.sabotage.harbor import HARBOR
from tests.sabotage.highside import HIGH_SIDE
from tests.sabotage.memory import MEMORY
from tests.sabotage.objectstores import OBJECT_STORES
from tests.sabotage.receipts import DELTAS, RECEIPTS
from tests.sabotage.relocation import RELOCATION
from tests.sabotage.serving import SERVING
from tests.sabotage.upstreams import BOMBS, UPSTREAMS

SIGNATURES = (
    Sabotage("bundle/signature.py", "is larger than any public key"),
    Sabotage("bundle/signature.py", "is a DSSE envelope"),
    Sabotage("bundle/signature.py", "is not base64"),
    Sabotage("bundle/trust.py", "if parsed.message_digest.hex != sha256.hex()", "if False"),
    Sabotage("bundle/trust.py", "raise self._unsigned(ignored)"),
    Sabotage("bundle/trust.py", "nobody is trusted to sign for the stream"),
    Sabotage("bundle/trust.py", "expired on {instant.spell(self.expires)}"),
    Sabotage("bundle/trust.py", "versions go one by one"),
    Sabotage("bundle/trust.py", "is the key of {other!r} again"),
    Sabotage("bundle/trust.py", "is not among the keys"),
    Sabotage("bundle/trust.py", "number < MAX_SIGNATURES", "True"),
    Sabotage(
        "bundle/trust.py",
        "self.people.get(name, name))",
        "name)",
        tests=("tests/bundle/test_quorum.py",),
    ),
    Sabotage("bundle/trust.py", "different people, and there are not so many for them"),
    Sabotage("bundle/trust.py", "is {threshold}, but the keys are of {several}"),
    Sabotage(
        "bundle/trust.py",
        "in self.keys.items() if fips.takes(key.algorithm)]",
        "in self.keys.items()]",
        tests=("tests/bundle/test_fips.py",),
    ),
    Sabotage("bundle/quorum.py", "if len(held[number]) < role.threshold:", "if True:"),
    Sabotage("bundle/quorum.py", "if place(other, tried):", "if False:"),
    Sabotage("bundle/signature.py", "is an Ed25519 key of small order"),
    Sabotage(
        "bundle/media.py",
        "for name in names[:MAX_SIGNATURES]:",
        "for name in names:",
        tests=("tests/bundle/test_unseal.py",),
    ),
    Sabotage("bundle/fips.py", "no FIPS provider is in force in"),
    Sabotage("bundle/unseal.py", "ask the low side which of them is theirs"),
    Sabotage("bundle/unseal.py", "a bundle cannot be renamed"),
    Sabotage("bundle/unseal.py", "is damaged: other media hold a signed one"),
    Sabotage("bundle/state.py", "raise _fork(state, manifest)"),
    Sabotage("bundle/state.py", "raise _replay(state, epoch, sequence)"),
    Sabotage("bundle/state.py", "the bundle expired on"),
    Sabotage("bundle/options.py", "lies on the medium with the bundle"),
)

GEOMETRY = (
    Sabotage("bundle/manifest.py", "which this dray cannot read"),
    Sabotage("bundle/manifest.py", "does not place every chunk on exactly one medium"),
    Sabotage("bundle/manifest.py", 'f"names {artifact.name} twice"'),
    Sabotage("bundle/manifest.py", '"names a file twice"'),
    Sabotage("bundle/manifest.py", "which is not of {manifest.name}"),
    Sabotage("bundle/manifest.py", "which cannot pin itself"),
    Sabotage("bundle/manifest.py", "is {chunk.name!r}, not {name!r}"),
    Sabotage("bundle/chunks.py", '"names a blob twice"'),
    Sabotage("bundle/chunks.py", "holds a blob that no artifact needs"),
    Sabotage("bundle/chunks.py", "has parts that do not add up to its size"),
    Sabotage("bundle/chunks.py", "has one part with another digest"),
    Sabotage("bundle/chunks.py", "which is not listed"),
    Sabotage("bundle/chunks.py", "has a gap or overlap at"),
    Sabotage("bundle/chunks.py", "is not as long as its contents"),
    Sabotage("bundle/chunks.py", "lacks {content.digest} of {artifact.name}"),
    Sabotage("bundle/artifact.py", "{path[:200]!r} {fault}"),
    Sabotage("bundle/artifact.py", "raise fields.fault(fields.path, fault"),
    Sabotage("bundle/ustar.py", "a member's name is 1 to 99 ASCII characters"),
)

BYTES = (
    Sabotage("bundle/digest.py", "ends after {seen} of {size} bytes"),
    Sabotage("bundle/digest.py", "has other bytes than {digest}"),
    Sabotage("bundle/digest.py", "is longer than the {size} bytes that are pinned"),
    Sabotage("bundle/encoding.py", "decodes to more than the"),
    Sabotage("bundle/encoding.py", "max_window_size=WINDOW", ""),
    Sabotage("bundle/media.py", "is not a regular file"),
    Sabotage("bundle/media.py", " | os.O_NOFOLLOW", ""),
    Sabotage("bundle/media.py", " | os.O_NONBLOCK", ""),
    Sabotage("bundle/media.py", "is larger than {limit} bytes"),
    Sabotage("bundle/media.py", "more than one bundle here"),
    Sabotage("bundle/reader.py", "its tar header is not the one that was signed"),
    Sabotage("bundle/reader.py", "what follows is not the padding that was signed"),
    Sabotage("bundle/reader.py", "is too large for a manifest"),
    Sabotage("bundle/verify.py", "bytes long, {size} were signed"),
    Sabotage("bundle/verify.py", "if _hash(handle, path, size) != digest.hex:", "if False:"),
    Sabotage("bundle/verify.py", "if found != chunk.size:", "if False:"),
    Sabotage("bundle/verify.py", "if data and view.read(len(data), at) != data:", "if False:"),
    Sabotage(
        "bundle/verify.py",
        "if done < part.size or sha.hexdigest() != part.digest.hex:",
        "if done < part.size:",
    ),
    Sabotage("bundle/signaturefiles.py", "if not any(_same_signature(", "if False and any(("),
    Sabotage(
        "bundle/verify.py",
        'self._bad("foreign", path, "is no part of the bundle", _REMOVE, ())',
        "pass",
    ),
)

_TOKENS = ("tests/bundle/test_registry_tokens.py",)
_REGISTRY = ("tests/bundle/test_registry.py",)
SERVERS = (
    Sabotage("bundle/http.py", "redirects from TLS to plain HTTP at"),
    Sabotage(
        "bundle/hosts.py",
        'origin(url)[0] == "https" and origin(target)[0] == "http"',
        'url.startswith("https:") and target.startswith("http:")',
        tests=("tests/bundle/test_http_hosts.py",),
    ),
    Sabotage("bundle/http.py", "a proxy between may be caching partial answers"),
    Sabotage("bundle/auth.py", "not is_url(realm) or", "", tests=_TOKENS),
    Sabotage("bundle/auth.py", " or leaves_tls(base, realm)", "", tests=_TOKENS),
    Sabotage("bundle/registry.py", "if is_digest(reference) and reference != digest", "if False"),
    Sabotage("bundle/api.py", "not _REPOSITORY.fullmatch(repository) or", "", tests=_REGISTRY),
    Sabotage("bundle/api.py", " or len(repository) > 255", "", tests=_REGISTRY),
    Sabotage(
        "bundle/upload.py",
        'ours.scheme == "https" and theirs.scheme == "http"',
        "False",
        tests=("tests/bundle/test_registry_uploads.py",),
    ),
    Sabotage("bundle/wire.py", "if strict and len(body) > limit", "if False"),
    Sabotage(
        "bundle/api.py",
        "is longer than {_LIST} bytes",
        tests=("tests/bundle/test_registry_lists.py",),
    ),
    Sabotage("bundle/credentials.py", "has a character that none can have"),
    Sabotage(
        "bundle/hosts.py",
        "except ValueError:  # a bracket",
        "except KeyError:  # a bracket",
        tests=("tests/bundle/test_http_hosts.py",),
    ),
)

_TAGS = ("tests/importer/targets/test_registry.py",)
TARGETS = (
    Sabotage(
        "importer/load.py",
        "if any(not isinstance(e, TargetError) for e in self.outcome.failures.values()):",
        "if False:",
    ),
    Sabotage("importer/load.py", "self._check_manifests()\n        if any", "if any"),
    Sabotage("importer/session.py", "report.raise_for_findings()", "pass"),
    Sabotage("importer/session.py", "check_signatures(self.sealed, self.media, report)", "pass"),
    Sabotage(
        "importer/admission.py",
        "kinds.FAILED if outcome.failures else kinds.DONE",
        "kinds.DONE",
    ),
    Sabotage("importer/targets/registry.py", "was pushed as {content.digest}", tests=_TAGS),
    Sabotage(
        "importer/targets/registry.py", "if before == content.digest:", "if False:", tests=_TAGS
    ),
    Sabotage("importer/targets/marker.py", "is not a safe path"),
    Sabotage("importer/targets/naming.py", "raise _collision(before[1], artifact, claim.place)"),
    Sabotage("importer/targets/naming.py", "raise _collision(outer[1], artifact"),
    Sabotage("importer/targets/naming.py", "has a file with the reserved name"),
    Sabotage("importer/destinations.py", "holds more than a host and a path"),
    Sabotage(
        "importer/targets/tree.py",
        "is not a regular file",
        tests=("tests/importer/targets/test_folder.py",),
    ),
)

_COSIGN = ("tests/bundle/upstream/test_cosign.py",)
_OMS = ("tests/bundle/upstream/test_oms.py", "tests/bundle/upstream/test_shards.py")
_EVIDENCE = ("tests/bundle/upstream/test_evidence.py",)
_PROV = ("tests/bundle/upstream/test_prov.py",)
_PUBLISHED = ("tests/importer/test_signedby.py",)
PUBLISHERS = (
    Sabotage("bundle/upstream/envelope.py", "makes this a keyless signature", tests=_COSIGN),
    Sabotage("bundle/upstream/envelope.py", "must have either a DSSE envelope", tests=_COSIGN),
    Sabotage("bundle/upstream/envelope.py", "is not base64", tests=_COSIGN),
    Sabotage("bundle/upstream/statement.py", "not as a statement", tests=_COSIGN),
    Sabotage("bundle/upstream/cosign.py", "if named != target:", "if False:"),
    Sabotage("bundle/upstream/cosign.py", "), not a signature"),
    Sabotage("bundle/upstream/cosign.py", "if self.target.hex not in found:", "if False:"),
    Sabotage("bundle/upstream/cosign.py", "choices=[TYPE]", "choices=()"),
    Sabotage(
        "bundle/upstream/find.py",
        "elif content.subject == root:",
        "elif content.subject:",
        tests=_COSIGN,
    ),
    Sabotage("bundle/upstream/find.py", "is larger than any signature", tests=_COSIGN),
    Sabotage("bundle/upstream/find.py", "is not carried", tests=_EVIDENCE),
    Sabotage("bundle/upstream/evidence.py", "the index does not list"),
    Sabotage("bundle/upstream/evidence.py", "if len(found) != 1:", "if False:"),
    Sabotage("bundle/upstream/oms.py", "signs other bytes as"),
    Sabotage("bundle/upstream/oms.py", "which is not among the files"),
    Sabotage("bundle/upstream/oms.py", "does not cover the file"),
    Sabotage("bundle/upstream/oms.py", "its subject is not the list of its files"),
    Sabotage("bundle/upstream/oms.py", "signatures, not one"),
    Sabotage("bundle/upstream/oms.py", "if fault := path_fault(path):", "if fault := '':"),
    Sabotage(
        "bundle/upstream/oms.py", "if row.size not in {None, file.size} or (", "if (", tests=_OMS
    ),
    Sabotage("bundle/upstream/oms.py", "bytes, not as a whole", tests=_OMS),
    Sabotage("bundle/upstream/oms.py", "not files or shards"),
    Sabotage("bundle/upstream/oms.py", "not 'sha256'"),
    Sabotage("bundle/upstream/shards.py", "which is no shard: PATH:START:END", tests=_OMS),
    Sabotage("bundle/upstream/shards.py", "bytes each, to its end", tests=_OMS),
    Sabotage(
        "bundle/upstream/prov.py", "if (name, version) != (self.name, self.version):", "if False:"
    ),
    Sabotage("bundle/upstream/prov.py", "if files != {file: str(self.archive)}:", "if False:"),
    Sabotage("bundle/upstream/openpgp.py", "not all(re.fullmatch(", "False and all((", tests=_PROV),
    Sabotage(
        "bundle/upstream/openpgp.py", "if not all(_ARMOR", "if False and all(_ARMOR", tests=_PROV
    ),
    Sabotage("bundle/upstream/openpgp.py", "is revoked", tests=_PROV),
    Sabotage("bundle/upstream/openpgp.py", "holds a secret key", tests=_PROV),
    Sabotage("bundle/upstream/check.py", "is not pinned: NGC gives"),
    Sabotage("bundle/upstream/keys.py", "bits, which is not taken"),
    Sabotage("importer/session.py", "raise judged.refused", "pass", tests=_PUBLISHED),
)

_CLAMD = ("tests/importer/scan/test_clamd.py",)
_INSIDE = ("tests/importer/scan/test_inside.py",)
_SCANNED = ("tests/importer/scan/test_import.py",)
_TEED = ("tests/importer/scan/test_scanner.py",)
SCANS = (
    Sabotage("importer/scan/reply.py", "clamd gave no verdict, but said", tests=_CLAMD),
    Sabotage("importer/scan/reply.py", "answer ended after", tests=_CLAMD),
    Sabotage("importer/scan/reply.py", "this is no clamd, it says", tests=_CLAMD),
    Sabotage(
        "importer/scan/reply.py",
        'name.startswith("Heuristics.Limits.Exceeded")',
        "False",
        tests=_CLAMD,
    ),
    Sabotage("importer/scan/engine.py", "does not find the EICAR test file", tests=_CLAMD),
    Sabotage("importer/scan/engine.py", "calls clean what is beyond its limits", tests=_CLAMD),
    Sabotage(
        "importer/scan/engine.py",
        "if max_age is None or (engine.age and",
        "if True or (engine.age and",
        tests=_CLAMD,
    ),
    Sabotage("importer/scan/batch.py", 'if together.kind == "clean":', "if True:", tests=_CLAMD),
    Sabotage(
        "importer/scan/batch.py",
        'self._report(f"{files[0][0]} … {files[-1][0]}", together)',
        "pass",
        tests=_CLAMD,
    ),
    Sabotage(
        "importer/scan/forward.py",
        'decoder.eof):\n                raise EOFError("it ends in the middle")',
        "decoder.eof):\n                return",
        tests=_INSIDE,
    ),
    Sabotage(
        "importer/scan/forward.py",
        'if not data:\n                raise EOFError("it ends in the middle")',
        "if not data:\n                return",
        tests=_INSIDE,
    ),
    Sabotage("importer/scan/inside.py", "it unpacks to more than {UNPACKED}", tests=_INSIDE),
    Sabotage("importer/scan/inside.py", "it unpacks to more than {RATIO}", tests=_INSIDE),
    Sabotage("importer/scan/inside.py", "it has far more files than", tests=_INSIDE),
    Sabotage("importer/scan/inside.py", "self._leaf(_TAIL, stream)", "pass", tests=_INSIDE),
    Sabotage("importer/scan/inside.py", "stream.rewind()", "pass", tests=_INSIDE),
    Sabotage("importer/scan/inside.py", "self._raw(name, forward)", "pass", tests=_INSIDE),
    Sabotage("importer/scan/inside.py", "Zstandard more than once", "", tests=_INSIDE),
    Sabotage(
        "importer/scan/inside.py",
        'Passing(fileobj=stream, mode="r")',
        'tarfile.TarFile(fileobj=stream, mode="r")',
        tests=_INSIDE,
    ),
    Sabotage("importer/scan/scanner.py", "if verdict.found:", "if False:", tests=_SCANNED),
    Sabotage(
        "importer/scan/scanner.py",
        "if verdict.gaps and not self.allow:",
        "if False:",
        tests=_SCANNED,
    ),
    Sabotage("importer/scan/scanner.py", "if not offset and not", "if not", tests=_TEED),
    Sabotage("importer/scan/scanner.py", "if seen == self.size:", "if False:", tests=_TEED),
    Sabotage("importer/scan/earlier.py", "if str(one.digest) in known and", "if", tests=_SCANNED),
    Sabotage("importer/load.py", "self._scan_rest()", "pass", tests=_SCANNED),
    Sabotage("importer/session.py", "self.admission.override", "(lambda *_a: 0)", tests=_SCANNED),
)

_DOOR = ("tests/bundler/scan/test_door.py",)
_GATES = ("tests/bundler/test_gates.py",)
_TOOLS = ("tests/bundler/scan/test_tools.py",)
_PROGRAM = ("tests/bundler/scan/test_program.py",)
SCANNERS = (
    Sabotage("bundler/scan/door.py", "if not hmac.compare_digest(", "if False and (", _DOOR),
    Sabotage(
        "bundler/scan/door.py",
        "if not match or match[1] != self.repository:",
        "if not match:",
        _DOOR,
    ),
    Sabotage(
        "bundler/scan/door.py",
        'return content if is_manifest == (match[2] == "manifests") else None',
        "return content",
        _DOOR,
    ),
    Sabotage(
        "bundler/scan/door.py",
        "return verified(stream, digest=digest, size=size, what=what)",
        "return stream",
        _DOOR,
    ),
    Sabotage("bundler/scan/program.py", 'text = text.replace(secret, "…")', "pass", _PROGRAM),
    Sabotage("bundler/scan/program.py", "seconds:.0f} seconds", tests=_PROGRAM),
    Sabotage("bundler/scan/program.py", "os.killpg(running.pid", "os.kill(running.pid", _PROGRAM),
    Sabotage("bundler/scan/tools.py", "key in _BASICS or key.startswith(own)", "1", _TOOLS),
    Sabotage("bundler/gates.py", "        enforce(lock, spec, upstreams)", "        pass", _GATES),
)

CHECKS = (
    *DOCUMENTS,
    *BOMBS,
    *UPSTREAMS,
    *SCANS,
    *SCANNERS,
    *SIGNATURES,
    *MEMORY,
    *PUBLISHERS,
    *RECEIPTS,
    *DELTAS,
    *GATES,
    *HARBOR,
    *HIGH_SIDE,
    *ENCRYPTION,
    *GEOMETRY,
    *BYTES,
    *SERVERS,
    *TARGETS,
    *OBJECT_STORES,
    *SERVING,
    *RELOCATION,
)
