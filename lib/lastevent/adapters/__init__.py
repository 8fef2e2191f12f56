"""Platforms that do not speak ASGI by themselves: AWS Lambda in two ways, and Vercel."""
