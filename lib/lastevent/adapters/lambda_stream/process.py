"""The process: from what Lambda says in the environment to an exit code."""

import asyncio
import logging
import signal
from collections.abc import MutableMapping
from importlib import import_module

from lastevent.adapters.lambda_invoke import own_function
from lastevent.adapters.lambda_stream.failure import Failure, is_told
from lastevent.adapters.lambda_stream.lifespan import Lifespan
from lastevent.adapters.lambda_stream.loop import Runtime
from lastevent.adapters.lambda_stream.runtime_api import RuntimeApi
from lastevent.core.errors import ConfigError
from lastevent.serve.app import App
from lastevent.serve.settings import Settings

ADDRESS = "AWS_LAMBDA_RUNTIME_API"
HANDLER = "_HANDLER"
CONCURRENCY = "AWS_LAMBDA_MAX_CONCURRENCY"
INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE"
SHUTDOWN_SECONDS = 0.7

log = logging.getLogger("lastevent")


def main(environ: MutableMapping[str, str]) -> int:
    """Run as Lambda's runtime; return the exit code: 0 once told to go, 1 when it cannot go on."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    if not environ.get(ADDRESS):
        log.error("%s is not set: Lambda starts this, or an emulator of it", ADDRESS)
        return 1
    return asyncio.run(serve(environ))


async def serve(environ: MutableMapping[str, str]) -> int:
    """Start the application that ``_HANDLER`` names, and serve until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    _on_signals(stopping)  # before the application's lifespan, which puts its own before ours
    try:
        settings = Settings.from_env(environ)
        app = load(environ)
        app.configure(settings)
        lifespan = Lifespan(app)
        await lifespan.startup()
    except Exception as error:
        await _fail(environ[ADDRESS], error)
        return 1
    runtime = Runtime(
        app,
        environ[ADDRESS],
        environ,
        rest=app.rest,
        perform=app.perform,
        spawn=own_function(environ),
        slots=slots(environ),
        trailing_comment=settings.trailing_comment,
    )
    await runtime.run(stopping)
    try:
        async with asyncio.timeout(SHUTDOWN_SECONDS):
            await lifespan.shutdown()
    except Exception:
        log.exception("the application did not end well")
    return 0 if stopping.is_set() else 1


def load(environ: MutableMapping[str, str]) -> App:
    """Return the App that ``_HANDLER`` names, ``module.attribute``; raise ConfigError or what its
    import raises."""
    if environ.get(INITIALIZATION) == "snap-start":
        # A snapshot would hand the same random numbers and connections to every instance.
        raise ConfigError("this runtime does not support SnapStart: switch it off")
    module, _, attribute = environ.get(HANDLER, "").replace("/", ".").rpartition(".")
    if not module:
        raise ConfigError(f"{HANDLER}: write module.attribute, such as functions.app.app")
    app = getattr(import_module(module), attribute, None)
    if not isinstance(app, App):
        raise ConfigError(f"{HANDLER}: {module} has no App of the name {attribute}")
    return app


def slots(environ: MutableMapping[str, str]) -> int:
    """Return how many invocations Lambda may give to this process at once.

    The variable is set on managed instances only (Lambda Developer Guide, "Building custom runtimes
    for Lambda Managed Instances").
    """
    text = environ.get(CONCURRENCY, "")
    return max(int(text), 1) if text.isdecimal() else 1


def _on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))


async def _fail(address: str, error: Exception) -> None:
    """Tell Lambda, and the log, that the function cannot start."""
    failure = Failure.of(error)
    shown = f": {failure.message}" if is_told(error) else ""
    log.error("cannot start: %s%s", failure.type, shown, exc_info=None if shown else error)
    api = RuntimeApi(address)
    try:
        await api.report_init(failure)
    except OSError as lost:
        log.error("the Runtime API was not told: %s", lost)
    finally:
        api.close()
