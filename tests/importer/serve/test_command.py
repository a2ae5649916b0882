"""``dray serve`` as a person runs it: what it refuses to begin, what it says, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import requests
from click.testing import CliRunner

from bundle.cli import build
from tests import delta, factory
from tests.importer.serve.conftest import big

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.factory import Bundle
    from tests.servers.ca import Authority

DRAY = [sys.executable, "-c", "from bundle.cli import main; main()", "serve"]
# openssl passwd -6 -salt saltstring secret
SECRET = (
    "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0"
    "Ry5qulYz."
)


def refused(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DRAY, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def running(bundle: Bundle, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a bundle; yield the process and its address."""
    with at(*bundle.folders, "--trust", bundle.trust, *arguments) as found:
        yield found


@contextmanager
def at(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command until it listens; yield the process and its address."""
    command = [*DRAY, *map(str, ["--listen", "127.0.0.1:0", "--json", *arguments])]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    try:
        assert process.stdout
        text = ""
        while not text.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line or process.poll() is None, process.communicate()
            text += line
        yield process, str(json.loads(text)["url"])
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return factory.build(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_cleanly(number: int, sample: Bundle) -> None:
    with running(sample, "--access-log") as (process, url):
        assert requests.get(f"{url}/v2/", timeout=10).status_code == 200
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, "")
        assert time.monotonic() - began < 4
        assert err.startswith("127.0.0.1 GET /v2/ 200 3 ")


def test_damage_is_named_where_it_is_served_from(tmp_path: Path) -> None:
    bundle = factory.build(tmp_path, big, chunk_size=1 << 20)
    chunk = bundle.chunk(1)
    data = bytearray(chunk.read_bytes())
    data[500_000] ^= 1
    chunk.write_bytes(data)
    with running(bundle) as (process, url):
        blob = max(bundle.manifest.blobs, key=lambda one: one.size)
        with pytest.raises(requests.RequestException):
            requests.get(f"{url}/v2/nvidia/cuda/blobs/{blob.digest}", timeout=30)
        process.terminate()
        _out, err = process.communicate(timeout=20)
    assert f"dray: warning: GET /v2/nvidia/cuda/blobs/{blob.digest}: {chunk}: bytes " in err
    assert "Traceback" not in err


def test_over_tls_and_with_a_password(sample: Bundle, authority: Authority, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"# who may pull\nnode:{SECRET}\n")
    options = ("--tls-cert", authority.cert, "--tls-key", authority.key, "--htpasswd", users)
    with running(sample, *options) as (process, url):
        assert url.startswith("https://")
        ca = str(authority.ca)
        answer = requests.get(f"{url}/v2/", verify=ca, timeout=10)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="dray serve"'
        for user, status in (("node", 200), ("root", 401)):
            good = requests.get(f"{url}/v2/", verify=ca, auth=(user, "secret"), timeout=10)
            assert good.status_code == status
        began = time.monotonic()
        bad = requests.get(f"{url}/v2/", verify=ca, auth=("node", "Secret"), timeout=10)
        assert bad.status_code == 401
        assert time.monotonic() - began > 0.9, "whoever guesses has to wait"
        with pytest.raises(requests.RequestException):
            requests.get(f"{url}/v2/".replace("https", "http"), timeout=10)
        process.terminate()
        _out, err = process.communicate(timeout=20)
    assert "2 wrong passwords so far, the last from 127.0.0.1" in err
    assert "ecret" not in err


def test_only_clients_with_a_certificate_get_in(
    sample: Bundle, authority: Authority, tmp_path: Path
) -> None:
    options = ("--tls-cert", authority.cert, "--tls-key", authority.key)
    with running(sample, *options, "--tls-client-ca", authority.ca) as (_process, url):
        ca = str(authority.ca)
        with pytest.raises(requests.RequestException):
            requests.get(f"{url}/v2/", verify=ca, timeout=10)
        own = (str(authority.cert), str(authority.key))
        assert requests.get(f"{url}/v2/", verify=ca, cert=own, timeout=10).status_code == 200
    done = refused(*sample.folders, "--trust", sample.trust, *options, "--tls-client-ca", "none")
    assert done.returncode == 2
    assert "cannot be used" in done.stderr


def test_what_a_delta_leaves_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAY_STATE_DIR", str(tmp_path / "state"))
    first = delta.whole(tmp_path / "one")
    command = ["import", str(first.folder), "--trust", str(first.trust)]
    done = CliRunner().invoke(build(), [*command, "--to", str(tmp_path / "house")])
    assert done.exit_code == 0, done.exception
    (receipt,) = (tmp_path / "state").rglob("*.receipt-0001.json")
    second = delta.since(tmp_path / "two", receipt)
    left = next(
        blob
        for blob in second.manifest.blobs
        if blob.encoding == "required"
        and "nvcr.io/nvidia/cuda:12.7" in second.manifest.users[blob.digest]
    )
    with running(second) as (process, url):
        answer = requests.get(f"{url}/v2/nvidia/cuda/blobs/{left.digest}", timeout=10)
        assert answer.status_code == 404
        assert "prod-000001" in answer.json()["errors"][0]["message"]
        head = requests.head(f"{url}/v2/nvidia/cuda/blobs/{left.digest}", timeout=10)
        assert head.status_code == 404
        process.terminate()
        _out, err = process.communicate(timeout=20)
    assert "nvcr.io/nvidia/cuda:12.7 is not whole here" in err


def test_other_hosts_are_served_over_tls_or_when_it_is_said(sample: Bundle) -> None:
    done = refused(*sample.folders, "--trust", sample.trust, "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert "there is no TLS" in done.stderr
    assert "--plain-http" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--listen", "nowhere"), "not an address and a port"),
        (("--listen", "127.0.0.1:70000"), "not an address and a port"),
        (("--listen", "192.0.2.1:0", "--plain-http"), "cannot listen at 192.0.2.1:0"),
        (("--tls-cert", "a.pem"), "needed both"),
        (("--tls-cert", "a.pem", "--tls-key", "a.pem"), "cannot be used"),
        (("--htpasswd", "none"), "cannot be read"),
    ],
)
def test_what_it_cannot_begin_with_is_said(
    options: tuple[str, ...], message: str, sample: Bundle
) -> None:
    done = refused(*sample.folders, "--trust", sample.trust, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_it_listens_at_an_ipv6_address(sample: Bundle) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with running(sample, "--listen", "[::1]:0") as (_process, url):
        assert url.startswith("http://[::1]:")
        assert requests.get(f"{url}/v2/", timeout=10).status_code == 200


def test_a_port_that_is_taken_is_said(sample: Bundle) -> None:
    with running(sample) as (_process, url):
        taken = url.partition("://")[2]
        done = refused(*sample.folders, "--trust", sample.trust, "--listen", taken)
    assert done.returncode == 2
    assert "already in use" in done.stderr


def test_who_signed_and_when_is_judged_as_by_verify(tmp_path: Path) -> None:
    bundle = factory.build(tmp_path / "a", lifetime=timedelta(seconds=-1))
    options = ("--trust", bundle.trust, "--listen", "127.0.0.1:0")
    done = refused(*bundle.folders, *options)
    assert done.returncode == 5
    assert "expired" in done.stderr
    stranger = factory.trust_file(tmp_path / "other.json", factory.STRANGER)
    done = refused(*bundle.folders, "--trust", stranger)
    assert done.returncode == 5
    with running(bundle, "--allow-expired", "a test") as (_process, url):
        assert requests.get(f"{url}/v2/", timeout=10).status_code == 200


def test_one_medium_of_several_serves_what_is_on_it(tmp_path: Path) -> None:
    bundle = factory.build(tmp_path, big, chunk_size=1 << 20, media=(2_500_000, 2_500_000))
    with running(replace(bundle, folders=bundle.folders[:1])) as (process, _url):
        process.terminate()
        _out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert ".chunk-" in err
    assert "it belongs on medium 2 of 2" in err
