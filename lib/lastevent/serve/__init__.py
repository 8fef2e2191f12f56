"""Requests in, legs out: settings, identities, tails, responses, and the wiring (app)."""
