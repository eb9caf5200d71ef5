"""Web application of one workspace: the page, and the requests that it sends."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from nnunet_paseg.annotate.guard import Guard
from nnunet_paseg.annotate.workspace import ConflictError, Workspace
from nnunet_paseg.errors import PasegError

STATIC = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "requests.js": "text/javascript; charset=utf-8",
    "case.js": "text/javascript; charset=utf-8",
    "viewer.js": "text/javascript; charset=utf-8",
    "niivue.umd.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""All files that are served, with their types."""

logger = logging.getLogger(__name__)


def make_app(workspace: Workspace, *, token: str, hosts: Collection[str]) -> Guard:
    """Return the application behind its guard.

    Args:
        workspace: Folders and classes.
        token: Secret part of the address.
        hosts: Accepted values of the Host header.
    """
    routes = [
        Route("/", lambda _: _static("index.html")),
        *(Route(f"/{name}", lambda request: _static(request.url.path.rpartition("/")[2])) for name in STATIC),
        Route("/api/cases", _get(lambda _: workspace.overview())),
        Route("/api/masks", _get(lambda query: workspace.masks(query.get("case", "")))),
        Route("/api/image", _image(workspace)),
        Route("/api/open", _open(workspace), methods=["POST"]),
        Route(
            "/api/save",
            _post(lambda c: workspace.save(c["case"], c["page"], c["version"], c["document"], c.get("seconds"))),
            methods=["POST"],
        ),
        Route("/api/accept", _post(lambda c: workspace.accept(c["case"], c["page"], c["version"])), methods=["POST"]),
        Route("/api/renew", _post(lambda c: workspace.renew(c["case"], c["page"])), methods=["POST"]),
        Route(
            "/api/release",
            _post(lambda c: workspace.release(c["case"], c["page"], c.get("seconds"))),
            methods=["POST"],
        ),
    ]
    return Guard(Starlette(routes=routes), token=token, hosts=hosts)


def _static(name: str) -> Response:
    content = resources.files(__package__).joinpath("static").joinpath(name).read_bytes()
    return Response(content, media_type=STATIC[name])


def _get(answer: Callable[[Any], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return await _answered(answer, request.query_params)

    return endpoint


def _post(answer: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        content = _json(await request.body())
        return _bad_json() if content is None else await _answered(answer, content)

    return endpoint


def _open(workspace: Workspace) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        content = _json(await request.body())
        if content is None:
            return _bad_json()
        response = await _answered(
            lambda c: workspace.open(c["case"], c["page"], force=c.get("force") is True), content
        )
        if response.status_code == 200:
            response.background = BackgroundTask(_prepare, workspace, content["case"])
        return response

    return endpoint


def _prepare(workspace: Workspace, case: str) -> None:
    try:
        workspace.prepare(case)
    except PasegError as error:  # the page is told when it asks for the image
        logger.warning("%s", error)


def _image(workspace: Workspace) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        case, channel = request.query_params.get("case", ""), request.query_params.get("channel", "")
        try:
            number = int(channel) if channel.isdecimal() and len(channel) < 5 else -1
            size, content = await run_in_threadpool(workspace.image, case, number)
        except PasegError as error:
            return JSONResponse({"error": str(error)}, 400)
        return StreamingResponse(content, media_type="application/octet-stream", headers={"Content-Length": str(size)})

    return endpoint


async def _answered(answer: Callable[[Any], Any], content: Any) -> Response:
    """Return the answer of a function that runs in a thread, or its error as a message."""
    try:
        return JSONResponse(await run_in_threadpool(answer, content))
    except KeyError as error:
        return JSONResponse({"error": f"The request lacks {error}."}, 400)
    except ConflictError as error:
        return JSONResponse({"error": str(error)}, 409)
    except (PasegError, OSError) as error:
        return JSONResponse({"error": str(error)}, 400)
    except Exception as error:  # a page must learn that nothing was saved, whatever a library raises
        logger.exception("A request failed")
        return JSONResponse({"error": f"{type(error).__name__}: {str(error)[:200]}"}, 500)


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _bad_json() -> Response:
    return JSONResponse({"error": "The request is not a JSON object."}, 400)
