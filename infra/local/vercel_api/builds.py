"""The builds that can be asked for by name, in the shape of what the vendor's builds say."""

from collections.abc import Iterator, Mapping
from itertools import chain

from infra.local.vercel_api.script import Line, Phase, Script, said, state_change

ROUTES = (
    *("/about", "/blog", "/blog/[slug]", "/cart", "/checkout", "/contact", "/docs", "/faq"),
    *("/legal", "/login", "/orders", "/orders/[id]", "/pricing", "/search", "/sitemap.xml"),
)
MODULES = 4_000


def _beginning() -> Iterator[Line]:
    yield state_change(0.6, "INITIALIZING")
    yield state_change(1.5, "BUILDING")
    yield Line(1.5, type="delimiter")
    yield from said(
        None,
        1.6,
        3.8,
        """
Running build in Washington, D.C., USA (East) – iad1
Build machine configuration: 2 cores, 8 GB
Cloning github.com/example/shop (Branch: main, Commit: 4be1a0c)
Skipping build cache, deployment was triggered without cache.
Cloning completed: 612.000ms
Restored build cache from previous deployment (9dJm2vQyT4cW)
$ Running "vercel build"
| Vercel CLI 64.0.2
""",
    )


def _installing() -> Iterator[Line]:
    deprecated = "\n".join(
        f"? npm warn deprecated {name}"
        for name in (
            "rimraf@3.0.2: versions before 4 get no fixes",
            "inflight@1.0.6: this module leaks memory",
            "glob@7.2.3: versions before 9 get no fixes",
            "@humanwhocodes/config-array@0.13.0: use @eslint/config-array",
            "eslint@8.57.1: this version gets no fixes",
        )
    )
    yield from said(
        "install",
        4.0,
        13.5,
        f"""
$ Running "install" command: `npm install`...
{deprecated}

added 412 packages, and audited 413 packages in 9s

148 packages are looking for funding
  run `npm fund` for details

3 moderate severity vulnerabilities

To address all issues, run:
  npm audit fix

Run `npm audit` for details.
Detected Next.js version: 15.5.2
""",
    )


def _compiling() -> Iterator[Line]:
    pages = "\n".join(f"├ ○ {route:<29} 1.2 kB         103 kB" for route in ROUTES)
    chunks = "\n".join(f"  ├ chunks/{n}-{n * 7919:x}.js {' ' * 16}{n} kB" for n in range(30, 62))
    yield from said(
        "build",
        13.6,
        24.0,
        """
$ Running "npm run build"

> shop@1.0.0 build
> next build

| Attention: Next.js now collects completely anonymous telemetry regarding usage.
|    https://nextjs.org/telemetry

   ▲ Next.js 15.5.2

   Creating an optimized production build ...
\x1b[33m⚠\x1b[0m Using edge runtime on a page currently disables static generation for that page
 ✓ Compiled successfully in 8.4s
   Linting and checking validity of types ...
""",
    )
    yield from said(
        "build",
        24.0,
        33.5,
        f"""

./app/blog/page.tsx
? 14:11  Warning: `<img>` makes a page slower: use `<Image />`.  @next/next/no-img-element
   Collecting page data ...
   Generating static pages (0/24) ...
   Generating static pages (6/24)
   Generating static pages (12/24)
   Generating static pages (18/24)
 ✓ Generating static pages (24/24)
   Finalizing page optimization ...
   Collecting build traces ...

Route (app)                                 Size  First Load JS
┌ ○ /                               5.31 kB         112 kB
{pages}
└ ƒ /api/orders                        0 B            0 B
+ First Load JS shared by all         102 kB
{chunks}
  └ other shared chunks (total)       2.1 kB

○  (Static)   prerendered as static content
●  (SSG)      prerendered as static HTML (uses generateStaticParams)
ƒ  (Dynamic)  server-rendered on demand

Traced Next.js server files in: 61.220ms
Created all serverless functions in: 98.117ms
Collected static files (public/, static/, .next/static): 5.902ms
""",
    )


def _deploying() -> Iterator[Line]:
    yield from said(None, 33.5, 38.0, "Build Completed in /vercel/output [30s]")
    yield Line(33.6, type="exit")
    yield Line(33.7, type="metric")
    yield from said(None, 34.0, 38.5, "Deploying outputs...\nDeployment completed")
    yield state_change(39.0, "READY")
    # What is said after READY belongs to the log like the rest.
    yield from said(
        None,
        39.4,
        42.0,
        """
Creating build cache...
Created build cache: 7.214s
Uploading build cache [212.44 MB]
Build cache uploaded: 1.861s
""",
    )


def _successful() -> Script:
    lines = (*_beginning(), *_installing(), *_compiling(), *_deploying())
    return Script(phases=(*_started(), Phase(39.0, "READY")), lines=lines)


def _failing() -> Script:
    end = """
$ Running "npm run build"

> shop@1.0.0 build
> next build

   ▲ Next.js 15.5.2

   Creating an optimized production build ...
! Failed to compile.
|
! ./app/cart/page.tsx:31:9
! Type error: Property 'total' does not exist on type 'Cart'.
|
|   29 |   return (
|   30 |     <p>
| > 31 |       {cart.total}
|      |             ^
|   32 |     </p>
! Next.js build worker exited with code: 1 and signal: null
! Error: Command "npm run build" exited with 1
"""
    lines = (
        *_beginning(),
        *_installing(),
        *said("build", 13.6, 21.8, end),
        Line(21.9, type="exit"),
        state_change(22.0, "ERROR"),
    )
    return Script(
        phases=(*_started(), Phase(22.0, "ERROR")),
        lines=lines,
        error_code="BUILD_UTILS_SPAWN_1",
        error_message='Command "npm run build" exited with 1',
        error_step="buildStep",
    )


def _long() -> Script:
    compiled = "\n".join(
        f"[{n * 100 // MODULES:3} %] compiled module {n} of {MODULES}" for n in range(MODULES)
    )
    lines = (
        *_beginning(),
        *_installing(),
        *said("build", 13.6, 33.4, compiled),
        *_deploying(),
    )
    return Script(phases=(*_started(), Phase(39.0, "READY")), lines=lines)


def _canceled() -> Script:
    until = 19.0
    whole = chain(_beginning(), _installing(), _compiling())
    lines = (*(line for line in whole if line.at < until), state_change(until, "CANCELED"))
    return Script(phases=(*_started(), Phase(until, "CANCELED")), lines=lines)


def _blocked() -> Script:
    return Script(
        phases=(Phase(0, "QUEUED"), Phase(0.6, "BLOCKED")),
        reason=(
            "The Deployment was blocked because there was no git user associated with the commit."
        ),
    )


def _started() -> tuple[Phase, ...]:
    return Phase(0, "QUEUED"), Phase(0.6, "INITIALIZING"), Phase(1.5, "BUILDING")


BUILDS: Mapping[str, Script] = {
    "next": _successful(),
    "failing": _failing(),
    "long": _long(),
    "canceled": _canceled(),
    "blocked": _blocked(),
}
"""`next` takes 42 seconds and about 120 lines, `long` as long for 4,000 more lines."""
