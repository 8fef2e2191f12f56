"""Vercel's deployments as a source: their state and build log, by the vendor's REST API.

api        the calls, with their limits and errors
snapshot   what a deployment looks like at one moment
events     three shapes of log events, as one
window     which events have been told already
progress   how far a build is
logs       the source: asks, orders, tells each line once, and knows when it is all
"""
