"""The Python client: a stream as an async iterator that resumes, and a publisher safe to retry.

from lastevent.client import Publisher, Stream

async with Publisher("http://127.0.0.1:8000/api/streams/build:42") as publisher:
    await publisher.publish("note", {"n": 1})

async with Stream("http://127.0.0.1:8000/api/streams/build:42") as stream:
    async for event in stream:
        print(event.id, event.type, event.json())
"""

from lastevent.client.backoff import Backoff
from lastevent.client.follower import StreamEvent
from lastevent.client.publisher import Published, Publisher
from lastevent.client.stream import State, Stream

__all__ = ["Backoff", "Published", "Publisher", "State", "Stream", "StreamEvent"]
