"""When the page is served: as configured, as root asks, and what stands in the way."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from babelwg.config import Listen, WebConfig
from babelwg.daemon.control import RequestError
from babelwg.daemon.web.service import WebService, parse_listen
from tests.daemon.ports import free_port

TOKEN = "a-token-of-some-length"


def with_service(action: Callable[[WebService], Awaitable[None]]) -> None:
    async def status(params: dict[str, Any]) -> Any:
        return {}

    async def run() -> None:
        names = SimpleNamespace(node="alpha")
        queries = SimpleNamespace(plain={"status": status}, context=SimpleNamespace(names=names))
        service = WebService(SimpleNamespace(queries=queries))  # type: ignore[arg-type]
        try:
            await action(service)
        finally:
            await service.close()

    asyncio.run(run())


async def answers(port: int) -> bool:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/api/status") as response,
        ):
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


def at(port: int, **options: Any) -> WebConfig:
    return WebConfig(Listen("127.0.0.1", port), **options)


def test_page_follows_the_configuration() -> None:
    async def action(service: WebService) -> None:
        first, second = free_port(), free_port()
        await service.configure(None)
        assert (service.describe()["running"], service.problem) == (False, None)
        await service.configure(at(first))
        assert await answers(first)
        server = service._server
        await service.configure(at(first))
        assert service._server is server  # a reload that changes nothing touches nothing
        await service.configure(at(second))
        assert (await answers(first), await answers(second)) == (False, True)
        assert service.describe()["url"] == f"http://127.0.0.1:{second}/"
        await service.configure(None)
        assert not await answers(second)

    with_service(action)


def test_root_opens_the_page_until_it_closes_it() -> None:
    async def action(service: WebService) -> None:
        port = free_port()
        await service.configure(None)
        await service.open(Listen("127.0.0.1", port))
        assert await answers(port)
        told, secret = service.describe(), service.describe(with_token=True)
        assert (told["login_url"], told["configured"]) == (None, False)
        base, _, token = secret["login_url"].partition("#token=")
        assert (base, len(token)) == (f"http://127.0.0.1:{port}/", 43)
        await service.configure(None)  # a reload leaves it
        assert await answers(port)
        await service.close_opened()
        assert not await answers(port)

    with_service(action)


def test_a_port_in_use_is_a_problem_and_not_the_end() -> None:
    async def action(service: WebService) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            await service.configure(at(port))
            assert service.problem == f"something else listens on 127.0.0.1:{port} already"
            with pytest.raises(RequestError, match="something else listens"):
                await service.open(Listen("127.0.0.1", port))
        await service.configure(at(port))
        assert service.problem is None
        assert await answers(port)

    with_service(action)


def test_what_root_asks_in_vain_leaves_the_page_where_it_was() -> None:
    async def action(service: WebService) -> None:
        port = free_port()
        await service.configure(at(port))
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            with pytest.raises(RequestError):
                await service.open(Listen("127.0.0.1", other.getsockname()[1]))
        assert await answers(port)
        assert service.problem is None

    with_service(action)


def test_token_comes_from_its_file(tmp_path: Path) -> None:
    async def action(service: WebService) -> None:
        file, port = tmp_path / "web.token", free_port()
        config = at(port, token_file=file)
        await service.configure(config)
        assert service.problem == f"{file} with its token is missing; `babelwg web` makes it"
        assert service.describe()["token_missing"] is True
        file.write_text(f"{TOKEN}\n")
        file.chmod(0o644)
        await service.configure(config)
        assert "others may use the key" in str(service.problem)
        file.chmod(0o600)
        await service.open(None)
        assert service.describe(with_token=True)["login_url"].endswith(f"#token={TOKEN}")
        file.write_text("short\n")
        await service.configure(config)
        assert "can be guessed" in str(service.problem)

    with_service(action)


def test_without_aiohttp_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "babelwg.daemon.web.server", None)

    async def action(service: WebService) -> None:
        await service.configure(at(free_port()))
        assert "pip install 'babelwg[web]'" in str(service.problem)

    with_service(action)


def test_daemon_reads_aiohttp_only_for_the_page() -> None:
    import subprocess

    program = "import sys, babelwg.daemon.app; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    "text", ["0.0.0.0:80", "192.0.2.1:80", "[2001:db8::1]:80", "nowhere", "unix:x", "127.0.0.1:6697"]
)
def test_root_opens_the_page_for_this_machine_only(text: str) -> None:
    with pytest.raises(RequestError):
        parse_listen(text)


def test_link_of_a_page_on_all_addresses_is_one_that_can_be_opened() -> None:
    from babelwg.daemon.web.service import _url

    assert _url(Listen("0.0.0.0", 80), ()) == "http://127.0.0.1:80/"
    assert _url(Listen("::", 80), ()) == "http://[::1]:80/"
    assert _url(Listen("::", 80), ("mesh.example.net",)) == "http://mesh.example.net:80/"
    assert _url(Listen("", 0, "/run/x"), ()) is None
