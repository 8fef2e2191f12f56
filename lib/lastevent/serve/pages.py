"""The pages of ``public/``, where no CDN serves them: ``/previews`` is ``previews.html``."""

import mimetypes
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

mimetypes.init()  # reads the system's tables: with this module, and not in a request

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Pages(StaticFiles):
    """Static files with the headers of a careful site, and addresses without ``.html``."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, html=True, check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        last = path.rpartition("/")[2]
        if last not in ("", ".") and "." not in last:
            path += ".html"
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response
