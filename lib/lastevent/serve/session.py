"""Browser sessions: a token exchanged for a cookie, and development's sign-in."""

from time import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lastevent.core.errors import NotFound
from lastevent.serve.auth import COOKIE, mint
from lastevent.serve.service import Service

MAX_TOKEN_BYTES = 8192
DEVELOPMENT_HOURS = 12

DEVELOPMENT_IDENTITIES: dict[str, dict[str, object]] = {
    "developer": {"name": "Developer", "read": ["*"], "append": ["*"]},
    "client": {"name": "Clara Client", "role": "client", "read": ["user:client"]},
    "client-2": {"name": "Carl Client", "role": "client", "read": ["user:client-2"]},
    "professional": {
        "name": "Paul Professional",
        "role": "professional",
        "read": ["user:professional"],
    },
    "professional-2": {
        "name": "Petra Professional",
        "role": "professional",
        "read": ["user:professional-2"],
    },
    "merchant": {"name": "Mara Merchant", "merchant": "42", "read": ["merchant:42"]},
    "merchant-2": {"name": "Milo Merchant", "merchant": "7", "read": ["merchant:7"]},
    "reader": {"name": "Rita Reader", "read": ["*"]},
}
"""Who ``/login`` lets a developer be, by ``sub``; two of a kind, so that privacy can be tried."""


async def sign_in(service: Service, request: Request) -> Response:
    """Exchange the body's token for an HttpOnly cookie that lasts as long as the token."""
    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class SessionBody(Body):
        token: str

    service.auth.must_be_same_origin(request)
    body = validate(SessionBody, parse_json(await read_body(request, MAX_TOKEN_BYTES)))
    identity = await service.auth.verify(body.token)
    answer = Response(status_code=204)
    _set_cookie(request, answer, body.token, identity.expires)
    return answer


async def sign_out(service: Service, request: Request) -> Response:
    """Clear the cookie."""
    service.auth.must_be_same_origin(request)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
    return answer


async def who(service: Service, request: Request) -> Response:
    """Say who the caller is, for pages that show it."""
    identity = await service.auth.identify(request)
    return JSONResponse(
        {
            "sub": identity.sub,
            "name": identity.name,
            "role": identity.role,
            "merchant": identity.merchant,
            "read": identity.read,
            "append": identity.append,
            "development": service.settings.development,
        },
        headers={"Cache-Control": "no-store"},
    )


async def identities(service: Service, request: Request) -> Response:
    """List whom a developer may be; 404 outside development."""
    _development_only(service)
    found = [{"sub": sub, **claims} for sub, claims in DEVELOPMENT_IDENTITIES.items()]
    return JSONResponse({"identities": found}, headers={"Cache-Control": "no-store"})


async def become(service: Service, request: Request) -> Response:
    """Sign the browser in as one of the development identities."""
    from lastevent.serve.bodies import Body, parse_json, read_body, validate

    class LoginBody(Body):
        sub: str

    secret = _development_only(service)
    service.auth.must_be_same_origin(request)
    body = validate(LoginBody, parse_json(await read_body(request, MAX_TOKEN_BYTES)))
    claims = DEVELOPMENT_IDENTITIES.get(body.sub)
    if claims is None:
        raise NotFound(f"there is no development identity {body.sub[:40]!r}")
    seconds = DEVELOPMENT_HOURS * 3600
    token = mint(secret, {"sub": body.sub, **claims}, seconds)
    answer = Response(status_code=204)
    _set_cookie(request, answer, token, time() + seconds)
    return answer


def _development_only(service: Service) -> str:
    if not service.settings.development or service.auth.secret is None:
        raise NotFound("signing in here is for development only")
    return service.auth.secret


def _set_cookie(request: Request, answer: Response, token: str, expires: float | None) -> None:
    forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=None if expires is None else max(0, int(expires - time())),
        path="/",
        secure=forwarded == "https",
        httponly=True,
        samesite="lax",
    )
    answer.headers["Cache-Control"] = "no-store"
