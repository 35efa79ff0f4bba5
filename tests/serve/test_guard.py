"""Who is let in: by host, origin, token and size; and what every answer tells the browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from serving import PORT, Client, photo_file, run, running, settings_for

from bozzetto.serve.guard import HEADERS, TOKEN_HEADER, Door

OWN = f"http://127.0.0.1:{PORT}"


def test_a_door_knows_its_own_hosts_and_no_others() -> None:
    local = Door(8000)
    known = ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:8000", "[::1]:8000"]
    others = [
        *("127.0.0.1", "localhost:8001", "evil.example:8000", "127.0.0.1.evil.example:8000", "", "192.168.1.5:8000"),
        *("127.0.0.1:8000@evil.example", "user@127.0.0.1:8000", "127.0.0.1:8000/x", "127.0.0.1:http", "[::1:8000"),
        *("127.0.0.2:8000", "0.0.0.0:8000", "127.0.0.1:8000?x", "127.0.0.1:8000#x", "localhost.:8000"),
    ]
    assert [host for host in known if not local.knows_host(host)] == []
    assert [host for host in others if local.knows_host(host)] == []
    assert Door(80).knows_host("localhost")
    assert local.knows_origin("http://localhost:8000")
    assert not any(map(local.knows_origin, ["https://localhost:8000", "null", "", "file://", "http://evil.example"]))


def test_a_door_to_other_machines_answers_to_addresses_but_not_to_names() -> None:
    open_door = Door(8000, "0.0.0.0")
    assert all(map(open_door.knows_host, ["192.168.1.5:8000", "[fe80::1]:8000", "127.0.0.1:8000"]))
    assert not any(map(open_door.knows_host, ["evil.example:8000", "192.168.1.5:8001", "192.168.1.5.example:8000"]))
    named = Door(8000, "Studio.local")
    assert named.knows_host("studio.local:8000")
    assert named.address.startswith("http://Studio.local:8000/?token=")
    assert open_door.address.startswith("http://127.0.0.1:8000/?token=")
    assert Door(8000, "::1").address.startswith("http://[::1]:8000/")


def test_every_start_has_another_token() -> None:
    doors = [Door(8000) for _ in range(20)]
    assert len({door.token for door in doors}) == 20
    assert all(len(door.token) >= 32 and not door.knows_token(doors[i - 1].token) for i, door in enumerate(doors))
    assert not doors[0].knows_token("ä")


READS = ["/api/options", "/api/jobs", "/static/app.js", "/api/jobs/x/zip", "/nothing"]


def test_nothing_is_answered_without_the_token(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(settings_for(tmp_path), work=False) as client:
            content = photo_file(tmp_path / "a.png")
            for given in (None, "", "x", client.app.door.token[:-1], client.app.door.token + "x"):
                client.headers.pop(TOKEN_HEADER, None)
                if given is not None:
                    client.headers[TOKEN_HEADER] = given
                for path in ("/", *READS):
                    assert (await client.get(path)).status_code == 403, (path, given)
                assert (await client.get("/", params={"token": given or ""})).status_code == 403
                assert (await client.upload(content)).status_code == 403
            right = client.app.door.token
            assert (
                await client.get("/api/jobs", params={"token": right})
            ).status_code == 403  # for the first page only
            assert client.app.foreman.jobs == {}

    run(work())


def test_the_printed_address_opens_the_page_and_the_cookie_the_rest(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(settings_for(tmp_path), work=False) as client:
            door = client.app.door
            del client.headers[TOKEN_HEADER]
            first = await client.get(door.address)
            assert first.status_code == 200
            assert "<title>Bozzetto</title>" in first.text
            assert door.token not in first.text
            cookie = first.headers["set-cookie"].lower()
            assert cookie.startswith(f"bozzetto-{PORT}=")
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert (await client.get("/api/jobs")).json() == {"jobs": [], "queue": []}
            assert (await client.get("/")).status_code == 200  # and a reload without the token in the address
            for name in ("app.js", "curve.js", "parts.js", "turner.js", "style.css", "icon.svg"):
                answer = await client.get(f"/static/{name}")
                assert answer.status_code == 200
                assert answer.headers["content-type"].split("/")[0] in ("text", "image")

    run(work())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": f"evil.example:{PORT}"}, 421),
        ({"host": "127.0.0.1:1"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": f"https://127.0.0.1:{PORT}"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),  # another port of this machine
    ],
)
def test_other_hosts_and_other_sites_are_refused_even_with_the_token(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async def work() -> None:
        async with running(settings_for(tmp_path), work=False) as own, Client(own.app, **headers) as client:
            content = photo_file(tmp_path / "a.png")
            assert [(await client.get(path)).status_code for path in READS] == [status] * len(READS)
            assert (await client.upload(content)).status_code == status
            assert (await client.delete("/api/jobs/x")).status_code == status
            assert own.app.foreman.jobs == {}
            # A link on another site may lead to the front page, and to nothing else.
            followed = (await client.get("/")).status_code
            assert followed == (200 if "sec-fetch-site" in headers else status)

    run(work())


def test_a_page_of_the_server_itself_may_post(tmp_path: Path) -> None:
    async def work() -> None:
        settings = settings_for(tmp_path)
        async with running(settings, work=False) as own:
            headers = {"origin": OWN, "sec-fetch-site": "same-origin"}
            async with Client(own.app, **headers) as client:
                assert (await client.upload(photo_file(tmp_path / "a.png"))).status_code == 201

    run(work())


def test_every_answer_carries_the_headers(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(settings_for(tmp_path), work=False) as client:
            answers = [await client.get(path) for path in ("/", *READS)]
            answers += [await client.get("/api/jobs", headers={"host": "evil.example"}), await client.post("/api/jobs")]
            answers += [await client.put("/"), await client.get("/", headers={TOKEN_HEADER: ""})]
            for answer in answers:
                assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, answer.url
                assert "server" not in answer.headers
            policy = HEADERS["content-security-policy"]
            assert "unsafe" not in policy
            assert policy.startswith("default-src 'none'; script-src 'self';")
            assert "frame-ancestors 'none'" in policy

    run(work())


def test_an_upload_is_counted_whatever_its_header_says(tmp_path: Path) -> None:
    async def work() -> None:
        async with running(settings_for(tmp_path, max_upload=200_000), work=False) as client:
            large = b"\x89PNG\r\n\x1a\n" + bytes(300_000)
            told = await client.upload(large)
            assert told.status_code == 413
            assert "--max-upload" in told.json()["error"]

            taken = 0

            async def pieces() -> AsyncIterator[bytes]:  # without a length
                nonlocal taken
                yield b'--x\r\ncontent-disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
                for _ in range(1000):
                    taken += 10_000
                    yield bytes(10_000)

            chunked = {"content-type": "multipart/form-data; boundary=x"}
            silent = await client.post("/api/jobs", content=pieces(), headers=chunked)
            assert silent.status_code == 413
            assert taken < 300_000  # the rest was not even asked for
            wrong = {**chunked, "content-length": "-5"}
            assert (await client.post("/api/jobs", content=b"", headers=wrong)).status_code == 413
            assert (await client.upload(photo_file(tmp_path / "a.png"))).status_code == 201
            assert len(client.app.foreman.jobs) == 1

    run(work())
