"""Jobs of an external service: the progress of one, for as long as it takes."""

import logging
from functools import partial

from starlette.requests import Request
from starlette.routing import Route

from lastevent.core.errors import Forbidden, NotFound
from lastevent.core.topic import matches_any, stream_name
from lastevent.serve.app import App, leg_endpoint, router
from lastevent.serve.auth import Identity
from lastevent.serve.live import live_subscription
from lastevent.serve.service import Service
from lastevent.serve.subscribe import Subscription, requested_types
from lastevent.services.jobs import Jobs, stream_of
from lastevent.sources.keeper import Live

KIND = "jobs"

log = logging.getLogger("lastevent")


def _jobs(service: Service) -> Jobs:
    upstream = service.settings.jobs
    if upstream is None:
        raise NotFound("no external service of jobs is set here: JOBS_UPSTREAM_URL names it")
    return Jobs(upstream)


def _live(jobs: Jobs, job: str) -> Live:
    # A job's id begins as a name does, too: no service is asked for "..".
    stream_name(job)
    return Live(stream_name(stream_of(job)), KIND, partial(jobs.source, job))


async def _progress(service: Service, request: Request) -> Subscription:
    """Follow a job whose service says that it exists and that the caller may see it."""
    log.info("SSE Progress API called")
    jobs = service.part(_jobs)
    live = _live(jobs, job := request.path_params["jobId"])
    identity = await service.auth.identify(request)
    await _must_see(service, jobs, identity, job)
    log.info("Client joining import job: %s", job)
    subscription = await live_subscription(service, request, live, types=requested_types(request))
    return subscription._replace(granted=True)


async def _must_see(service: Service, jobs: Jobs, identity: Identity, job: str) -> None:
    """Raise unless the caller's token names the job, or its service lets the caller see it.

    Where the service can be asked, the job must exist there; or have existed, for those whose token
    names it.
    """
    stream = stream_of(job)
    is_named = matches_any(identity.read, stream)
    if not jobs.are_checked:
        identity.must_read(stream)
        return
    try:
        await jobs.check(job, identity.sub)
    except Forbidden:
        if not is_named:
            raise
    except NotFound:
        if not is_named or not (await service.store.log.describe(stream)).exists:
            raise


async def resume(service: Service, stream: str) -> Live:
    """Return what pumps on a job's stream that was begun; raise NotFound if nothing can."""
    job = stream.removeprefix(stream_of(""))
    if stream_of(job) != stream:
        raise NotFound(f"{stream} is not the stream of a job")
    return _live(service.part(_jobs), job)


routes = [Route("/api/jobs/{jobId}/progress", leg_endpoint(_progress), methods=["GET"])]

app = App(router(routes))
