"""What a function would load that does not look where: every dependency, and a client of each."""

import boto3  # type: ignore[import-untyped]
import httpx
import jwt
import mangum
import pydantic
import redis.asyncio
import starlette.applications
import starlette.middleware.cors
import starlette.responses
import starlette.routing
import starlette.staticfiles
import upstash_redis.asyncio


class Event(pydantic.BaseModel):
    """A body."""

    type: str
    data: str


IMPORTED = (jwt, mangum, starlette)
CLIENTS = (
    httpx.AsyncClient(),
    redis.asyncio.Redis(),
    upstash_redis.asyncio.Redis("http://127.0.0.1:1", "none"),
    boto3.client(
        "dynamodb", region_name="local", aws_access_key_id="none", aws_secret_access_key="none"
    ),
)
