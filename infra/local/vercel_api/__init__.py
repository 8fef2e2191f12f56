"""A local server that speaks Vercel's REST API, as far as deployments and their build logs go.

    from infra.local.vercel_api import Chaos, VercelApi

    async with VercelApi(directory) as vercel:                # a process of its own, a free port
        environment = vercel.environment                      # VERCEL_API_URL, VERCEL_TOKEN
        made = await vercel.deploy("next", speed=20)          # or POST {vercel.url}/v13/deployments
        ...                                                   # the client reads made.id
        truth = await vercel.truth(made.id)                   # truth.ids, .lines, .drained
        await vercel.fault("status", operations=["events"], status=429, retry_after=1, times=2)
        report = await vercel.calls()                         # counts and most_at_once
        assert report.most_at_once["events"] == 1

`vercel.deploy` takes a name of builds.py or a `Script` of one's own, and a `Chaos` (chaos.py;
`WILD` is all of it). Deployments that a client makes play what `VercelApi(directory, Play(…))`
or `play_next` say. By hand: `python -m infra.local.vercel_api`.

Modelled, by the API reference, the SDK's schemas and what the vendor's CLI asks and expects:
creating (files inline or by digest, a git source), one deployment and a list of them, its events
(`since`, `until`, `limit`, `direction`, `follow`, `delimiter`, and the CLI's `format=lines`), the
upload of files, projects and their transfer codes, users and one team, the errors' bodies.

Not modelled: anything that is built or served; the other members of the documents; the acceptance
of a transfer; several builds of a deployment (`name`, `statusCode`, `builds` change nothing); the
real rate limits. A fault answers 429 in their form.

Not documented, and decided here for the stricter side: without `limit` an array has 100 events; an
answer of lines ends once the deployment is over and its last line was sent; ids have no order;
serials are digits of one width; `alias-assigned` has no id, and is in every answer that reaches so
far.
"""

from infra.local.vercel_api.account import Play
from infra.local.vercel_api.chaos import ORDERLY, WILD, Chaos
from infra.local.vercel_api.script import Line, Phase, Script
from infra.local.vercel_api.server import CallReport, Made, TrueLine, Truth, VercelApi

__all__ = [
    "ORDERLY",
    "WILD",
    "CallReport",
    "Chaos",
    "Line",
    "Made",
    "Phase",
    "Play",
    "Script",
    "TrueLine",
    "Truth",
    "VercelApi",
]
