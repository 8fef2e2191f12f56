"""Records in a Redis.

    lastevent:records:{kind}:values    a hash: id → version, updated, expires, and the document
    lastevent:records:{kind}:ids       a sorted set of the ids, for queries in their order
    lastevent:records:{kind}:expiry    a sorted set of the ids that vanish, by when

A document that has expired is absent at once, and removed by the kind's next writes. The keys of a
kind vanish with the last of its documents if all of them do.
"""

import secrets
from collections.abc import Iterator
from typing import cast

from lastevent.core.errors import Conflict
from lastevent.stores.base import Clock, Record
from lastevent.stores.upstash.commands import Commands, Script, Word, instant, milliseconds
from lastevent.stores.upstash.scripts import ANSWER_SECONDS, BROOM_SECONDS, COMMON

MAX_ANSWER_BYTES = 1024 * 1024
"""Documents in one answer; a query asks again for the rest."""

_LIVING = """
local now = clock(ARGV[1])

local function is_living(text)
  local expires = tonumber(string.match(text, '^%d+ %d+ (%d+)'))
  return expires == 0 or expires > now
end

local function version_of(id)
  local text = redis.call('HGET', KEYS[1], id)
  return text and is_living(text) and tonumber(string.match(text, '^%d+')) or 0
end
"""

_WRITING = f"""
-- KEYS: values, ids, expiry, answer
-- A call whose answer was lost gets it again: it would find a conflict with itself.
local answer = redis.call('GET', KEYS[4])
if answer then return answer end

local function answered(text)
  redis.call('SET', KEYS[4], text, 'PX', {ANSWER_SECONDS * 1000})
  return text
end

local function remove(ids)
  redis.call('HDEL', KEYS[1], unpack(ids))
  redis.call('ZREM', KEYS[2], unpack(ids))
  redis.call('ZREM', KEYS[3], unpack(ids))
end

local expired = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', int(now), 'LIMIT', 0, 100)
if #expired > 0 then remove(expired) end
"""

_GET = Script(
    COMMON,
    _LIVING,
    """
-- KEYS: values; ARGV: now, id. Returns the document's text, or nothing.
local text = redis.call('HGET', KEYS[1], ARGV[2])
return text and is_living(text) and text
""",
)

_PUT = Script(
    COMMON,
    _LIVING,
    _WRITING,
    f"""
-- ARGV: now, id, expected version or '', document, ms until it vanishes or ''
-- Returns the new version and the time, or 'conflict' and the version that is there.
local id, expect, ms = ARGV[2], ARGV[3], ARGV[5]
local version = version_of(id)
if expect ~= '' and tonumber(expect) ~= version then return 'conflict ' .. int(version) end
local result = int(version + 1) .. ' ' .. int(now)
local expires = ms ~= '' and int(now + tonumber(ms)) or '0'
redis.call('HSET', KEYS[1], id, result .. ' ' .. expires .. '\\n' .. ARGV[4])
redis.call('ZADD', KEYS[2], 0, id)
if ms ~= '' then redis.call('ZADD', KEYS[3], expires, id) else redis.call('ZREM', KEYS[3], id) end

local last = redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2]
local all_vanish = redis.call('ZCARD', KEYS[3]) == redis.call('ZCARD', KEYS[2])
local life = all_vanish and int(tonumber(last) - now + {BROOM_SECONDS * 1000})
for place = 1, 3 do
  if life then redis.call('PEXPIRE', KEYS[place], life)
  else redis.call('PERSIST', KEYS[place]) end
end
return answered(result)
""",
)

_DELETE = Script(
    COMMON,
    _LIVING,
    _WRITING,
    """
-- ARGV: now, id, expected version or ''
-- Returns the version that was there and 0, or 'conflict' and it.
local version = version_of(ARGV[2])
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return 'conflict ' .. int(version) end
remove({ARGV[2]})
return answered(int(version) .. ' 0')
""",
)

_QUERY = Script(
    COMMON,
    _LIVING,
    """
-- KEYS: values, ids; ARGV: now, where to begin, prefix, limit, max bytes
-- Returns the id to go on after, or '', and then ids and documents in turn.
local from, prefix, limit, room = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local found = {''}
while true do
  local ids = redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, 100)
  for _, id in ipairs(ids) do
    if string.sub(id, 1, #prefix) ~= prefix or #found > 2 * limit then return found end
    local text = redis.call('HGET', KEYS[1], id)
    if text and is_living(text) then
      found[#found + 1] = id
      found[#found + 1] = text
      room = room - #text
      if room < 0 then
        found[1] = id
        return found
      end
    end
  end
  if #ids < 100 then return found end
  from = '(' .. ids[#ids]
end
""",
)


class RedisRecords:
    """base.Records. Each call is one command, a query of more than a megabyte some."""

    def __init__(self, commands: Commands, clock: Clock, prefix: str = "") -> None:
        self._commands = commands
        self._clock = clock
        self._prefix = prefix

    async def get(self, kind: str, id: str) -> Record | None:
        reply = await self._run(_GET, kind, ["values"], id)
        return None if reply is None else _record(kind, id, cast(str, reply))

    async def put(
        self,
        kind: str,
        id: str,
        value: str,
        *,
        expect: int | None = None,
        seconds: float | None = None,
    ) -> Record:
        ms: Word = "" if seconds is None else milliseconds(seconds)
        version, updated = await self._write(_PUT, kind, id, expect, value, ms)
        return Record(kind, id, version, value, updated)

    async def query(
        self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> list[Record]:
        records: list[Record] = []
        # Redis compares bytes, Python code points: in UTF-8 that is the same order.
        begin = f"[{prefix}" if prefix > after else f"({after}"
        while len(records) < limit:
            left = limit - len(records)
            reply = await self._run(
                _QUERY, kind, ["values", "ids"], begin, prefix, left, MAX_ANSWER_BYTES
            )
            found = iter(cast(list[str], reply))
            more = next(found)
            records += [_record(kind, id, text) for id, text in _pairs(found)]
            if not more:
                break
            begin = f"({more}"
        return records

    async def delete(self, kind: str, id: str, *, expect: int | None = None) -> bool:
        version, _ = await self._write(_DELETE, kind, id, expect)
        return version > 0

    async def _write(
        self, script: Script, kind: str, id: str, expect: int | None, *arguments: Word
    ) -> tuple[int, int]:
        parts = ["values", "ids", "expiry", f"answer:{secrets.token_hex(12)}"]
        expected: Word = "" if expect is None else expect
        reply = await self._run(script, kind, parts, id, expected, *arguments)
        first, second = cast(str, reply).split()
        if first == "conflict":
            raise Conflict(f"the document has version {second}, not {expect}")
        return int(first), int(second)

    async def _run(self, script: Script, kind: str, parts: list[str], *arguments: Word) -> object:
        keys = [f"{self._prefix}lastevent:records:{{{kind}}}:{part}" for part in parts]
        return await script.run(self._commands, keys, [instant(self._clock), *arguments])


def _pairs(items: Iterator[str]) -> Iterator[tuple[str, str]]:
    return zip(items, items, strict=True)


def _record(kind: str, id: str, text: str) -> Record:
    stamp, value = text.split("\n", 1)
    version, updated, _ = map(int, stamp.split())
    return Record(kind, id, version, value, updated)
