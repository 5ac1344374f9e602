"""The explorer's files: what is answered for which path, with which headers; and the page without a build."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from starlette.applications import Starlette
from tests.serving.asgi import Answer, ask

from pinfold.serving.guard import Guard
from pinfold.serving.limits import ServeConfig
from pinfold.serving.metrics import Metrics
from pinfold.serving.page import page_routes, read_page
from pinfold.serving.tokens import Tokens
from pinfold.serving.wire import error_handlers

SCRIPT = b"draw('<script>'); new Function('return 1')"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build in small."""
    assets = tmp_path / "web" / "assets"
    assets.mkdir(parents=True)
    (assets.parent / "index.html").write_bytes(b"<!doctype html><title>Explorer</title>")
    (assets / "index-Ab12-_9z.js").write_bytes(b"hello();" * 100)
    (assets / "map.html").write_bytes(b"<html><script>" + SCRIPT + b"</script></html>")
    (assets / "secret.env").write_bytes(b"not of a kind that is answered")
    (assets / "folder.js").mkdir()
    return assets.parent


def answer(folder: Path, method: str, path: str, *headers: tuple[bytes, bytes]) -> Answer:
    """Through the guard, closed by tokens."""
    app = Starlette(routes=page_routes(read_page(folder)), exception_handlers=error_handlers())
    guard = Guard(app, ServeConfig(), Tokens("r" * 32, "w" * 32), Metrics())
    return ask(guard, method, path, None, headers)


def test_the_page_needs_no_token_and_has_the_policy_of_pages(folder: Path) -> None:
    found = answer(folder, "GET", "/")
    assert found.status == 200
    assert found.body == b"<!doctype html><title>Explorer</title>"
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert found.headers["cache-control"] == "no-cache"
    assert "default-src 'self'" in found.headers["content-security-policy"]
    assert "unsafe-eval" not in found.headers["content-security-policy"]
    head = answer(folder, "HEAD", "/")
    assert head.status == 200
    assert head.headers["content-length"] == str(len(found.body))


def test_what_has_its_hash_in_its_name_is_kept_for_ever(folder: Path) -> None:
    found = answer(folder, "GET", "/assets/index-Ab12-_9z.js")
    assert found.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in found.headers["cache-control"]
    assert answer(folder, "GET", "/assets/map.html").headers["cache-control"] == "no-cache"


def test_who_has_the_file_is_told_so(folder: Path) -> None:
    etag = answer(folder, "GET", "/").headers["etag"].encode()
    again = answer(folder, "GET", "/", (b"if-none-match", b'"other", ' + etag))
    assert (again.status, again.body) == (304, b"")
    assert answer(folder, "GET", "/", (b"if-none-match", b'"other"')).status == 200


def test_packed_where_the_browser_can_unpack(folder: Path) -> None:
    path = "/assets/index-Ab12-_9z.js"
    plain = answer(folder, "GET", path)
    packed = answer(folder, "GET", path, (b"accept-encoding", b"br;q=1, gzip;q=0.5"))
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 5
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "accept-encoding"


def test_the_maps_frame_has_one_policy_its_own_with_its_script_by_hash(folder: Path) -> None:
    policy = answer(folder, "GET", "/assets/map.html").headers["content-security-policy"]
    digest = b64encode(sha256(SCRIPT).digest()).decode()
    assert f"script-src 'unsafe-eval' 'sha256-{digest}'" in policy
    assert "sandbox allow-scripts;" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "")
    routes = page_routes(read_page(folder))
    sent = ask(Guard(Starlette(routes=routes), ServeConfig(), Tokens(), Metrics()), "GET", "/assets/map.html")
    assert sent.headers["content-security-policy"] == policy


@pytest.mark.parametrize("name", ["secret.env", "folder.js", "none.js", "..%2Findex.html", "%2e%2e/index.html"])
def test_nothing_else_is_answered(folder: Path, name: str) -> None:
    assert answer(folder, "GET", f"/assets/{name}").status in (401, 404)
    assert answer(folder, "POST", "/").status in (401, 405)


def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    found = answer(tmp_path / "none", "GET", "/")
    assert found.status == 200
    assert b"make web" in found.body
    assert answer(tmp_path / "none", "GET", "/assets/map.html").status == 404
