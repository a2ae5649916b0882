from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle import hosts
from bundle.errors import SourceError, UsageError
from bundle.http import Host
from tests.bundle.faulty import Asked, Reply
from tests.bundle.scripted import Bearer
from tests.servers import ca
from tests.servers.process import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.http import Http
    from tests.bundle.conftest import Clients
    from tests.bundle.faulty import Faulty
    from tests.servers.ca import Authority


def test_a_redirect_to_another_host_loses_everything_private(
    http: Http, serve: Callable[..., Faulty]
) -> None:
    first, second = serve(), serve()
    first.answers(Reply(307, headers={"Location": f"{second.url}/cdn?sig=1"}))
    second.answers(Reply(200, b"blob"))
    private = {"X-Org-Key": "mine", "Accept": "text/plain"}
    answer = http.request("GET", f"{first.url}/x", headers=private, access=Bearer())
    assert answer.body == b"blob"
    assert first.seen[0].authorization == "Bearer one"
    assert second.seen[0].authorization == ""
    assert "X-Org-Key" not in second.seen[0].headers
    assert second.seen[0].headers["Accept"] == "text/plain"


def test_a_credential_does_not_come_back_by_a_detour(
    http: Http, serve: Callable[..., Faulty]
) -> None:
    first, second = serve(), serve()

    def script(asked: Asked) -> Reply:
        there = Reply(302, headers={"Location": f"{second.url}/"})
        return there if asked.path == "/start" else Reply()

    first.script = script
    second.answers(Reply(302, headers={"Location": f"{first.url}/chosen-by-second"}))
    http.request("GET", f"{first.url}/start", access=Bearer())
    assert [asked.authorization for asked in first.seen] == ["Bearer one", ""]


def test_a_redirect_on_the_same_host_keeps_the_credential(http: Http, server: Faulty) -> None:
    server.answers(Reply(301, headers={"Location": "/y"}), Reply(200))
    http.request("GET", f"{server.url}/x", access=Bearer())
    assert [asked.authorization for asked in server.seen] == ["Bearer one", "Bearer one"]


def test_a_redirect_in_a_circle_ends(http: Http, server: Faulty) -> None:
    server.script = lambda asked: Reply(302, headers={"Location": f"/{len(server.seen)}"})
    with pytest.raises(SourceError, match="in a circle"):
        http.request("GET", server.url)


@pytest.mark.parametrize(
    "location",
    ["", "file:///etc/passwd", "ftp://x/", "http://", "http://u@h/", "//[", "http://h:99999/"],
)
def test_a_redirect_to_nowhere_is_refused(http: Http, server: Faulty, location: str) -> None:
    server.answers(Reply(302, headers={"Location": location}))
    with pytest.raises(SourceError, match="nowhere") as caught:
        http.request("GET", server.url)
    assert "run the same command again" in caught.value.hint


def test_a_request_with_a_body_is_not_redirected(http: Http, server: Faulty) -> None:
    server.answers(Reply(307, headers={"Location": "/y"}))
    with pytest.raises(SourceError, match="307"):
        http.request("POST", server.url, body=b"secret")
    assert len(server.seen) == 1


@pytest.mark.parametrize("scheme", ["http", "HTTP", "hTTp"])
def test_tls_does_not_fall_back_to_plain_http(
    clients: Clients, serve: Callable[..., Faulty], authority: Authority, scheme: str
) -> None:
    secure, plain = serve(authority), serve()
    there = Reply(302, headers={"Location": f"{scheme}://{plain.host}/"})
    secure.answers(Reply(302, headers={"Location": f"HTTPS://{secure.host}/x"}), there)
    known = {secure.host: Host(ca_file=str(authority.ca))}
    with pytest.raises(SourceError, match="from TLS to plain HTTP"):
        clients(known).request("GET", secure.url)
    assert plain.seen == []


def test_a_proxy_is_used_but_not_for_loopback(
    clients: Clients, serve: Callable[..., Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(), serve()
    proxy.answers(Reply(200, b"by proxy"))
    server.answers(Reply(200, b"straight"))
    monkeypatch.setenv("http_proxy", proxy.url)
    http = clients()
    assert http.request("GET", "http://registry.test/x").body == b"by proxy"
    assert http.request("GET", server.url).body == b"straight"


def test_a_loopback_host_speaks_tls_if_it_can(
    clients: Clients, serve: Callable[..., Faulty], authority: Authority
) -> None:
    secure, plain = serve(authority), serve()
    http = clients()
    assert http.base(secure.host) == secure.url
    assert http.base(plain.host) == plain.url


def test_a_loopback_host_that_is_down_is_asked_again_later(http: Http) -> None:
    (port,) = free_ports(1)
    assert http.base(f"127.0.0.1:{port}") == f"https://127.0.0.1:{port}"
    assert http._bases == {}


def test_other_hosts_speak_tls_unless_told_otherwise(clients: Clients) -> None:
    http = clients(
        {
            "plain.test": Host(plain_http=True),
            "nvcr.io": Host(endpoint="https://mirror.test:8443/"),
        }
    )
    assert http.base("registry.test:5000") == "https://registry.test:5000"
    assert http.base("plain.test") == "http://plain.test"
    assert http.base("nvcr.io") == "https://mirror.test:8443"
    assert http.base("docker.io") == "https://registry-1.docker.io"


def test_a_host_with_its_own_authority_is_trusted_and_only_that_one(
    clients: Clients, serve: Callable[..., Faulty], authority: Authority, tmp_path: Path
) -> None:
    secure, other = serve(authority), serve(ca.make(tmp_path, "another CA"))
    secure.answers(Reply(200, b"ok"))
    http = clients({secure.host: Host(ca_file=str(authority.ca))})
    assert http.request("GET", secure.url).body == b"ok"
    with pytest.raises(SourceError, match="certificate that is not trusted"):
        http.request("GET", other.url)


def test_an_unknown_authority_is_final_and_the_hint_says_what_to_do(
    http: Http, serve: Callable[..., Faulty], authority: Authority, clients: Clients
) -> None:
    secure = serve(authority)
    with pytest.raises(SourceError, match="not trusted") as caught:
        http.request("GET", secure.url)
    assert "CA file" in caught.value.hint
    assert clients.pauses == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_names_an_authority_for_all(
    clients: Clients,
    serve: Callable[..., Faulty],
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(authority.ca))
    secure = serve(authority)
    secure.answers(Reply(200, b"ok"))
    assert clients().request("GET", secure.url).body == b"ok"


def test_a_ca_file_that_is_none_is_a_usage_error(clients: Clients, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    with pytest.raises(UsageError, match="no such file"):
        clients({"h.test": Host(ca_file=str(file))})
    file.write_text("nonsense")
    with pytest.raises(UsageError, match="no certificate"):
        clients({"h.test": Host(ca_file=str(file))})


def test_plain_http_where_tls_was_asked_for_is_told(clients: Clients, server: Faulty) -> None:
    http = clients({server.host: Host(plain_http=False)})
    with pytest.raises(SourceError, match="does not speak TLS") as caught:
        http.request("GET", http.base(server.host))
    assert "plain-http" in caught.value.hint


def test_loopback_is_known_by_name_and_address() -> None:
    assert all(map(hosts.is_loopback, ["localhost:5000", "127.0.0.1", "127.8.8.8:1", "[::1]:5000"]))
    assert not any(map(hosts.is_loopback, ["localhost.test", "10.0.0.1:5000", "nvcr.io", ""]))
