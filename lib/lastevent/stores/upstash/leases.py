"""Leases in a Redis, by its own time (RULES 17).

A lease is one value: its token, until when it is held in Unix ms, and its holder. It stays for a
month after it was last held, so that its tokens only grow; a later one begins at the time, which is
higher than any.
"""

from typing import cast

from lastevent.stores.base import Clock, Lease
from lastevent.stores.upstash.commands import Commands, Script, instant, milliseconds
from lastevent.stores.upstash.scripts import COMMON

KEPT_SECONDS = 30 * 24 * 3600

_LEASE = f"""
local now = clock(ARGV[1])
local token, till, holder = 0, 0, ''
local held = redis.call('GET', KEYS[1])
if held then
  token, till, holder = string.match(held, '^(%d+) (%d+) (.*)$')
  token, till = tonumber(token), tonumber(till)
end

local function hold(seconds, by)
  local text = int(token) .. ' ' .. int(seconds and now + seconds or 0) .. ' ' .. by
  redis.call('SET', KEYS[1], text, 'PX', int((seconds or 0) + {KEPT_SECONDS * 1000}))
end
"""

_ACQUIRE = Script(
    COMMON,
    _LEASE,
    """
-- KEYS: lease; ARGV: now, holder, ms. Returns the token, nothing if another holds it.
if till <= now then token = math.max(token + 1, now)
elseif holder ~= ARGV[2] then return false end
hold(tonumber(ARGV[3]), ARGV[2])
return token
""",
)

_RENEW = Script(
    COMMON,
    _LEASE,
    """
-- KEYS: lease; ARGV: now, token, ms. Returns whether it was held.
if token ~= tonumber(ARGV[2]) or till <= now then return 0 end
hold(tonumber(ARGV[3]), holder)
return 1
""",
)

_RELEASE = Script(
    COMMON,
    _LEASE,
    """
-- KEYS: lease; ARGV: now, token
if token == tonumber(ARGV[2]) and till > 0 then hold(nil, '') end
return 1
""",
)


class RedisLeases:
    """base.Leases. Each call is one command, safe to repeat."""

    def __init__(self, commands: Commands, clock: Clock, prefix: str = "") -> None:
        self._commands = commands
        self._clock = clock
        self._prefix = prefix

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        token = await self._run(_ACQUIRE, name, holder, milliseconds(seconds))
        return None if token is None else Lease(name, holder, token)

    async def renew(self, lease: Lease, seconds: float) -> bool:
        return await self._run(_RENEW, lease.name, lease.token, milliseconds(seconds)) == 1

    async def release(self, lease: Lease) -> None:
        await self._run(_RELEASE, lease.name, lease.token)

    async def _run(self, script: Script, name: str, *arguments: str | int) -> int | None:
        key = f"{self._prefix}lastevent:lease:{name}"
        reply = await script.run(self._commands, [key], [instant(self._clock), *arguments])
        return cast(int | None, reply)
