from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

import bundle.http as module
from bundle.errors import SourceError, TargetError, VerificationError
from bundle.http import Body, Interrupted, backoff, redact, retry_after
from bundle.whole import Unranged, Whole
from tests.bundle.faulty import HANG_UP, Asked, Reply, ranged
from tests.bundle.scripted import Bearer
from tests.servers.process import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundle.http import Http
    from tests.bundle.conftest import Clients
    from tests.bundle.faulty import Faulty


DATA = bytes(range(256)) * 5000


def test_an_answer_comes_back_whole(http: Http, server: Faulty) -> None:
    server.answers(Reply(200, b"hello", {"X-Kind": "greeting"}))
    answer = http.request("GET", f"{server.url}/x?q=1")
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (200, b"hello", "greeting")
    assert server.seen[0].headers["Accept-Encoding"] == "identity"
    assert server.seen[0].headers["User-Agent"].startswith("dray/")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(
    http: Http, server: Faulty, clients: Clients, status: int
) -> None:
    server.answers(Reply(status), HANG_UP, Reply(200, b"ok"))
    assert http.request("GET", server.url).body == b"ok"
    assert len(clients.pauses) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 451, 501, 507])
def test_what_will_not_pass_is_not_tried_again(http: Http, server: Faulty, status: int) -> None:
    server.answers(Reply(status))
    with pytest.raises(SourceError, match=str(status)):
        http.request("GET", server.url)
    assert len(server.seen) == 1


def test_retry_after_in_seconds_is_waited_for(http: Http, server: Faulty, clients: Clients) -> None:
    server.answers(Reply(429, headers={"Retry-After": "17"}), Reply())
    http.request("GET", server.url)
    assert 17 <= clients.pauses[0] < 18


def test_retry_after_as_a_date_counts_from_the_servers_clock() -> None:
    headers = {
        "Date": "Tue, 01 Jan 2030 10:00:00 GMT",
        "Retry-After": "Tue, 01 Jan 2030 10:00:30 GMT",
    }
    assert retry_after(headers) == 30
    assert retry_after({**headers, "Retry-After": "Tue, 01 Jan 2030 09:00:00 GMT"}) == 0


@pytest.mark.parametrize("text", ["", "soon", "-5", "1e3", "²", "Tue, 99 Foo 2030 10:00:00 GMT"])
def test_a_retry_after_that_is_none_is_ignored(text: str) -> None:
    assert retry_after({"Retry-After": text}) is None


def test_a_server_can_not_ask_for_a_pause_of_days() -> None:
    assert retry_after({"Retry-After": "9" * 50}) == module.LONGEST_PAUSE
    assert backoff(1, 1e9) <= module.LONGEST_PAUSE + 1


def test_pauses_grow_and_stay_bounded() -> None:
    assert backoff(1) <= 0.5
    assert 15 <= backoff(60) <= 30


def test_the_attempts_are_used_up_in_the_end(clients: Clients, server: Faulty) -> None:
    server.answers(Reply(503))
    with pytest.raises(TargetError, match=r"503 \(tried 4 times\)"):
        clients(error=TargetError, retries=3).request("GET", server.url)


def test_a_host_that_never_answered_is_given_up_early(http: Http, clients: Clients) -> None:
    (port,) = free_ports(1)
    with pytest.raises(SourceError, match="connection refused") as caught:
        http.request("GET", f"http://127.0.0.1:{port}/x?sig=secret")
    assert len(clients.pauses) == 2
    assert "secret" not in str(caught.value)
    assert "host name" in caught.value.hint


def test_a_name_that_does_not_exist_is_told(http: Http) -> None:
    with pytest.raises(SourceError, match="name can't be resolved"):
        http.request("GET", "https://nowhere.invalid/")


def test_a_silent_server_is_not_waited_for_for_ever(
    clients: Clients, server: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUTS", (5, 0.1))

    def stall(_asked: Asked) -> Reply:
        server.released.wait(10)
        return Reply()

    server.script = stall
    with pytest.raises(SourceError, match="no answer in time"):
        clients(retries=0).request("GET", server.url)


def test_an_answer_beyond_the_limit_is_refused(http: Http, server: Faulty) -> None:
    server.answers(Reply(200, b"x" * 11))
    assert http.request("GET", server.url, limit=11).body == b"x" * 11
    with pytest.raises(SourceError, match="more than 10 bytes"):
        http.request("GET", server.url, limit=10)


def test_a_refusal_is_told_in_the_words_of_the_access(http: Http, server: Faulty) -> None:
    server.answers(Reply(403))
    with pytest.raises(SourceError, match="own words for 403"):
        http.request("GET", server.url, access=Bearer())
    assert server.seen[0].authorization == "Bearer one"


def test_neither_netrc_nor_cookies_are_used(http: Http, server: Faulty, isolated: Path) -> None:
    netrc = isolated / ".netrc"
    netrc.write_text("machine 127.0.0.1 login nu password np\n")
    netrc.chmod(0o600)
    server.answers(Reply(200, headers={"Set-Cookie": "sid=1; Path=/"}))
    http.request("GET", server.url)
    http.request("GET", server.url, access=Bearer())
    assert [asked.authorization for asked in server.seen] == ["", "Bearer one"]
    assert "Cookie" not in server.seen[1].headers


@pytest.mark.parametrize("offset", [0, 1, 1000, len(DATA) - 1])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_stream_starts_at_its_offset_with_or_without_ranges(
    http: Http, server: Faulty, offset: int, *, ranges: bool
) -> None:
    server.script = lambda asked: ranged(asked, DATA) if ranges else Reply(200, DATA)
    with http.stream(server.url, offset=offset) as blocks:
        assert b"".join(blocks) == DATA[offset:]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_stream_ends_where_it_is_told_to(http: Http, server: Faulty, *, ranges: bool) -> None:
    server.script = lambda asked: ranged(asked, DATA) if ranges else Reply(200, DATA)
    with http.stream(server.url, offset=10, end=20) as blocks:
        assert b"".join(blocks) == DATA[10:20]
    assert server.seen[0].headers["Range"] == "bytes=10-19"


@pytest.mark.parametrize(
    "header", ["bytes 0-9/100", "bytes 11-19/100", "bytes 10-20/100", "bytes 10-5/9", "x", ""]
)
def test_another_range_than_asked_for_is_refused(http: Http, server: Faulty, header: str) -> None:
    server.answers(Reply(206, b"x" * 10, {"Content-Range": header}))
    with (
        pytest.raises(SourceError, match="another range"),
        http.stream(server.url, offset=10, end=20),
    ):
        pass


def test_an_exact_range_is_that_range_or_nothing(http: Http, server: Faulty) -> None:
    server.script = lambda asked: ranged(asked, DATA)
    with http.stream(server.url, offset=10, end=20, exact=True) as blocks:
        assert b"".join(blocks) == DATA[10:20]
    server.answers(Reply(200, DATA))
    with pytest.raises(Unranged), http.stream(server.url, offset=10, end=20, exact=True):
        pass


def test_a_file_of_another_size_is_named_at_the_first_range(http: Http, server: Faulty) -> None:
    server.script = lambda asked: ranged(asked, DATA)
    whole = Whole(len(DATA) + 1)
    with (
        pytest.raises(SourceError, match=f"is {len(DATA)} bytes there, not the {len(DATA) + 1}"),
        http.stream(server.url, offset=10, end=20, whole=whole),
    ):
        pass


@pytest.mark.parametrize(
    ("tags", "whole", "same"),
    [
        (('"a"', '"a"'), Whole(100), True),
        (('"a"', '"b"'), Whole(100), False),
        (('W/"a"', 'W/"b"'), Whole(100), True),
        (('"a"', ""), Whole(100), True),
        (('"a"', '"b"'), Whole(100, tagged=False), True),
    ],
)
def test_ranges_under_two_tags_are_not_put_together(
    http: Http, server: Faulty, tags: tuple[str, str], whole: Whole, *, same: bool
) -> None:
    header = {"Content-Range": "bytes 10-19/100"}
    first, second = ({**header, "ETag": tag} if tag else header for tag in tags)
    server.answers(Reply(206, b"x" * 10, first), Reply(206, b"x" * 10, second))
    with http.stream(server.url, offset=10, end=20, whole=whole):
        pass
    try:
        with http.stream(server.url, offset=10, end=20, whole=whole, exact=True):
            assert same
    except Unranged:
        assert not same


def test_a_part_that_nobody_asked_for_is_refused(http: Http, server: Faulty) -> None:
    server.answers(Reply(206, b"x", {"Content-Range": "bytes 0-0/9"}))
    with pytest.raises(SourceError, match="206"), http.stream(server.url):
        pass


def test_a_stream_that_is_cut_is_an_interruption(http: Http, server: Faulty) -> None:
    server.answers(Reply(200, DATA, cut=1000))
    with pytest.raises(Interrupted), http.stream(server.url) as blocks:
        for _block in blocks:
            pass


def test_a_stream_is_one_attempt(http: Http, server: Faulty, clients: Clients) -> None:
    server.answers(Reply(503, headers={"Retry-After": "3"}))
    with pytest.raises(Interrupted) as caught, http.stream(server.url):
        pass
    assert (caught.value.retry_after, caught.value.status) == (3, 503)
    assert clients.pauses == []


def pieces(data: bytes, length: int = 1 << 20) -> Iterator[bytes]:
    for start in range(0, len(data), length):
        yield data[start : start + length]


def test_an_upload_is_one_body_of_known_length(http: Http, server: Faulty) -> None:
    server.answers(Reply(201))
    body = Body(len(DATA), lambda: pieces(DATA, 100_000))
    http.upload("PUT", f"{server.url}/u", body, ok=(201,))
    assert server.seen[0].body == DATA
    assert server.seen[0].headers["Content-Length"] == str(len(DATA))
    assert "Transfer-Encoding" not in server.seen[0].headers


def test_an_empty_upload_still_asks_its_source(http: Http, server: Faulty) -> None:
    server.answers(Reply(201))

    def blocks() -> Iterator[bytes]:
        yield from ()
        raise VerificationError("not empty at all")

    with pytest.raises(VerificationError):
        http.upload("PUT", server.url, Body(0, blocks), ok=(201,))
    http.upload("PUT", server.url, Body(0, lambda: iter(())), ok=(201,))
    assert [asked.headers["Content-Length"] for asked in server.seen] == ["0"]


@pytest.mark.parametrize(
    "fault",
    [
        VerificationError("other bytes"),
        OSError(errno.EIO, "the medium is gone"),
        ConnectionResetError("looks like the network's"),
        TimeoutError("so does this"),
    ],
)
def test_what_the_source_of_a_body_raises_comes_out_as_it_is(
    http: Http, server: Faulty, clients: Clients, fault: Exception
) -> None:
    def blocks() -> Iterator[bytes]:
        yield DATA[:1000]
        raise fault

    server.answers(Reply(201))
    with pytest.raises(type(fault)) as caught:
        http.request("PUT", server.url, body=Body(len(DATA), blocks), ok=(201,))
    assert caught.value is fault
    assert clients.pauses == []
    assert not any(asked.whole for asked in server.seen)


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_a_body_of_another_length_is_never_completed(http: Http, server: Faulty, size: int) -> None:
    server.answers(Reply(201))
    with pytest.raises(SourceError, match="bytes announced"):
        http.upload("PUT", server.url, Body(size, lambda: pieces(DATA)), ok=(201,))
    assert not any(asked.whole for asked in server.seen)


def test_an_upload_that_gets_no_answer_says_that_all_was_sent(http: Http, server: Faulty) -> None:
    server.answers(HANG_UP)
    with pytest.raises(Interrupted) as caught:
        http.upload("PUT", server.url, Body(len(DATA), lambda: pieces(DATA)), ok=(201,))
    assert caught.value.sent


@pytest.mark.parametrize("url", ["https://[bad/", "https://h.test:99999/", "https://\udcff/"])
def test_a_url_that_is_none_is_an_error_and_no_traceback(http: Http, url: str) -> None:
    with pytest.raises(SourceError):
        http.request("GET", url)


def test_a_redacted_url_has_no_secret() -> None:
    assert redact("https://u:p@h.test:1/a/b?Signature=x#y") == "https://h.test:1/a/b"
    assert redact("https://h.test/a\x9b2Jb\u202ec") == "https://h.test/a?2Jb?c"
    assert redact("http://[") == "a URL that is none"
