"""The explorer's files, read once and answered from memory; without a build, a page that says how to make one."""

import gzip
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pinfold.errors import RequestError

FOLDER = Path(__file__).parent / "web"  # made by `make web`, and by the wheel's build
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/markdown; charset=utf-8",
}
FRAME = "/assets/map.html"
HASHED = re.compile(r"-[A-Za-z0-9_-]{8}\.(js|css|svg)$")  # vite puts a hash of the content into the name
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"  # kept, but asked for with its etag every time

# The map is drawn by regl, which writes code at run time. It may do so in this frame only, which has no network, no
# origin (so no token, and no way to the page around it) and no text of the data: docs/explorer.md.
FRAME_POLICY = (
    "default-src 'none'; script-src 'unsafe-eval' {script}; style-src 'unsafe-inline'; "
    "sandbox allow-scripts; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

NO_BUILD = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Pinfold</title>
<style>:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:4rem auto;padding:0 1rem}</style>
</head><body><h1>Pinfold</h1>
<p>The service runs. Its page for looking around, the explorer, has not been built in this copy.</p>
<p>In a work tree with Node 20 or newer: <code>make web</code>, then start the service again.</p>
<p>All that it would show can be asked for: <a href="/openapi.json">/openapi.json</a> says how.</p>
</body></html>
"""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the explorer as it is answered."""

    body: bytes
    packed: bytes  # with gzip
    media_type: str
    etag: str
    cache: str  # the Cache-Control header
    policy: str | None = None  # a content security policy of its own, instead of the service's


def read_page(folder: Path = FOLDER) -> dict[str, PageFile]:
    """The explorer's files by path: `/`, and `/assets/NAME` for each asset. About 440 kB.

    Files of unknown kinds are left out. Without a build there is `/` alone.
    """
    index = folder / "index.html"
    if not index.is_file():
        return {"/": _file("/", NO_BUILD, ".html")}
    page = {"/": _file("/", index.read_bytes(), ".html")}
    for path in sorted((folder / "assets").iterdir()):
        if path.suffix in TYPES and path.is_file():
            name = f"/assets/{path.name}"
            page[name] = _file(name, path.read_bytes(), path.suffix)
    return page


def page_routes(page: Mapping[str, PageFile] | None = None) -> list[Route]:
    """Routes (GET and HEAD) for `/` and `/assets/NAME`, which need no token; without `page`, of what was built.

    An asset that does not exist is a RequestError with status 404.
    """
    files = read_page() if page is None else page

    async def answer(request: Request) -> Response:
        path = "/" if request.url.path == "/" else f"/assets/{request.path_params['name']}"
        if path not in files:
            raise RequestError(404, "the page has no such file")
        return page_response(files[path], request.headers.get("if-none-match"), request.headers.get("accept-encoding"))

    return [
        Route("/", answer, methods=["GET"], include_in_schema=False),
        Route("/assets/{name}", answer, methods=["GET"], include_in_schema=False),
    ]


def page_response(file: PageFile, known: str | None, accepted: str | None) -> Response:
    """A file as an answer: 304 where `known` (If-None-Match) names it, packed where Accept-Encoding says so.

    Where the file has a content security policy, the answer has it, and nobody may add a second one: both would hold.
    """
    headers = {"etag": file.etag, "cache-control": file.cache, "vary": "accept-encoding"}
    if file.policy is not None:
        headers["content-security-policy"] = file.policy
    if known is not None and file.etag in (tag.strip() for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    packed = "gzip" in (part.partition(";")[0].strip() for part in (accepted or "").split(","))
    if packed:
        headers["content-encoding"] = "gzip"
    return Response(file.packed if packed else file.body, headers=headers, media_type=file.media_type)


def _file(name: str, body: bytes, suffix: str) -> PageFile:
    return PageFile(
        body,
        gzip.compress(body, mtime=0),
        TYPES[suffix],
        f'W/"{sha256(body).hexdigest()[:32]}"',  # weak: packed and not, it is the same file
        FOREVER if HASHED.search(name) else ASK_AGAIN,
        _frame_policy(body) if name == FRAME else None,
    )


def _frame_policy(body: bytes) -> str:
    """The frame's policy names its one script by hash."""
    _, _, rest = body.partition(b"<script>")
    script, _, _ = rest.rpartition(b"</script>")
    return FRAME_POLICY.format(script=f"'sha256-{b64encode(sha256(script).digest()).decode()}'")
