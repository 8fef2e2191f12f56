"""The control on Lambda behind an HTTP API: bare.py through Mangum."""

from mangum import Mangum

from benchmarks.bare import app

handler = Mangum(app, lifespan="off")
