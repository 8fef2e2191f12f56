"""Messages to the channels of a Redis, for logs that lie in another store (combined.combine).

A log of the Redis itself needs none of this: its scripts publish what they write.
"""

from collections.abc import Collection

from lastevent.stores.channel import PING, End, channel_name, message
from lastevent.stores.upstash.commands import Commands, Script

_PING = Script(f"""
for _, channel in ipairs(ARGV) do
  redis.call('PUBLISH', channel, '{PING}')
end
""")


class RedisAnnouncer:
    """channel.Announcer. ``prefix`` is that of the channels, as their listeners have it."""

    def __init__(self, commands: Commands, prefix: str = "") -> None:
        self._commands = commands
        self._prefix = prefix

    async def announce(self, stream: str, end: End) -> None:
        await self._commands.call("PUBLISH", channel_name(stream, self._prefix), message(end))

    async def ping(self, channels: Collection[str]) -> None:
        if len(channels) == 1:  # as a rule
            await self._commands.call("PUBLISH", *channels, PING)
            return
        await _PING.run(self._commands, [], list(channels))
