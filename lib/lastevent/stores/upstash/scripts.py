"""The log's scripts. Each is the whole of a call, or of a group of appends: what it checks and what
it writes is one step.

KEYS of a stream, which share a hash tag:

    lastevent:{stream}:outline    outline.Outline, as numbers in the order of its fields, and how
                                  many bytes its events have; in a second line its bookmark, if any
    lastevent:{stream}:events     a hash: sequence → time, proof, type, headers and data
    lastevent:{stream}:key:…      an answer: of an idempotency key, or of one call

The outline is what counts, and is written last: a call that fails before has changed nothing that
is seen, and what it left beyond the head is overwritten by the next. That is why the events lie in
a hash and not in a Redis stream, whose ids can never be given again; their sequences are dense, so
each is found by its number.

An append keeps what lies under one key below a size, too: Upstash refuses to add to more than
100 MB (https://upstash.com/docs/redis/troubleshooting/max_record_size_exceeded), and a log that
loses its oldest events, and says so, is better than one that takes no new ones.

Lua has doubles, exact to 2^53: far above any generation (48 bits) or sequence (40 bits). But it
writes large ones as 1e+14, and may take %x for 32 bits only; ``int`` and ``hex`` do not.
"""

from lastevent.core.cursor import LAST_SEQUENCE
from lastevent.stores.base import KEY_SECONDS
from lastevent.stores.channel import PING
from lastevent.stores.upstash.commands import Script

EVENT_BYTES = 64
"""What an event is reckoned to need beside its text."""

BROOM_SECONDS = 60
"""How much longer the database keeps what nobody may see any more by the times in it."""

ANSWER_SECONDS = 60
"""How long a call is recognised when its answer was lost: much longer than it is tried again."""

COMMON = """
-- Unix ms: what was given, otherwise the database's own time.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function int(number) return string.format('%.0f', number) end
"""

_NUMBERS = """
-- An outline without its bookmark, which may be long: what most callers want over the wire.
local function numbers(text)
  local line_end = string.find(text, '\\n', 1, true)
  return line_end and string.sub(text, 1, line_end - 1) or text
end
"""

_OUTLINE = f"""
{_NUMBERS}
local FIELDS = {{'exists', 'generation', 'previous', 'floor', 'head', 'proof', 'time', 'closed',
  'fence', 'bytes'}}

local function parse(text)
  text = text or '0 0 0 1 0 0 0 0 0 0'
  local outline, field, first = {{}}, 0, numbers(text)
  for number in string.gmatch(first, '%d+') do
    field = field + 1
    outline[FIELDS[field]] = tonumber(number)
  end
  if #first < #text then outline.bookmark = string.sub(text, #first + 2) end
  return outline
end

local function render(outline)
  local values = {{}}
  for place, field in ipairs(FIELDS) do values[place] = int(outline[field]) end
  local first = table.concat(values, ' ')
  return outline.bookmark and first .. '\\n' .. outline.bookmark or first
end
"""

_END = f"""
local function hex(number, digits)
  local low = number % 16777216
  return string.format('%0' .. (digits - 6) .. 'x%06x', (number - low) / 16777216, low)
end

-- Outline.end as the text of a cursor, and channel.message.
local function cursor(outline)
  local head, proof = outline.head, outline.proof
  if outline.exists == 0 then head, proof = {LAST_SEQUENCE}, 0 end
  return hex(outline.generation, 12) .. hex(head, 10) .. string.format('%04x', proof)
end

local function message(outline)
  return cursor(outline) .. (outline.closed == 1 and ' closed' or '')
end
"""

_FLOOR = """
local function time_of(sequence)
  local event = redis.call('HGET', KEYS[2], int(sequence))
  return event and tonumber(string.match(event, '^%d+')) or 0
end

-- Outline.first_kept
local function first_kept(outline, max_events, max_age, now)
  local floor = math.max(outline.floor, outline.head - max_events + 1)
  local oldest = now - max_age
  if floor > outline.head or outline.time < oldest then return outline.head + 1 end
  local high = outline.head
  if time_of(floor) >= oldest then high = floor end
  while floor < high do
    local middle = math.floor((floor + high) / 2)
    if time_of(middle) < oldest then floor = middle + 1 else high = middle end
  end
  return floor
end
"""

APPEND = Script(
    COMMON,
    _OUTLINE,
    _END,
    _FLOOR,
    f"""
-- KEYS: outline, events, and of each call its answer
-- ARGV: now, max events, max age, max bytes, life of the outline, channel; and of each call:
--       its nonce, what was said under a key, expect, fence, close, proof,
--       a bookmark after '=', or '', how many events, and these: type, headers and data
-- The calls are judged one after the other, each as if it came alone.
-- Returns of each what it is, and the outline, or the answer: the generation, head, proof, closed,
-- count.
local now = clock(ARGV[1])
local max_events, max_age, max_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local outline = parse(redis.call('GET', KEYS[1]))
local ended, has_events = message(outline), false
local results, answers, lives = {{}}, {{}}, {{}}
local at = 6

local function first_answer(key, nonce, said)
  local found = answers[key] or redis.call('GET', key)
  if not found then return end
  local by, first_said, time, generation, answer =
    string.match(found, '^(%S+) (%S+) (%d+) (%d+) (.*)$')
  if by == nonce then return 'first', answer end
  if outline.exists == 1 and tonumber(generation) == outline.generation
      and tonumber(time) > now - {KEY_SECONDS * 1000} then
    if first_said ~= said then return 'reused', '' end
    return 'again', answer
  end
end

-- Outline.admit, which says why.
local function refuses(count, expect, fence)
  return (fence ~= '' and tonumber(fence) < outline.fence) or (outline.closed == 1 and count > 0)
    or (expect ~= '' and expect ~= cursor(outline))
end

-- Outline.appended
local function append(count, fence, close, proof, bookmark)
  if outline.exists == 0 then
    outline.exists = 1
    outline.previous = outline.generation
    outline.generation = math.max(now, outline.generation + 1)
  end
  if outline.time < now - max_age then -- nothing before is kept
    outline.floor, outline.bytes = outline.head + 1, 0
    redis.call('UNLINK', KEYS[2])
  end
  if count > 0 then
    local first = outline.head + 1
    outline.head = outline.head + count
    outline.proof = tonumber(proof)
    outline.time = math.max(now, outline.time)
    local stamp = int(outline.time) .. ' ' .. proof .. ' '
    for number = 1, count do
      local event = stamp .. ARGV[at + number]
      redis.call('HSET', KEYS[2], int(first + number - 1), event)
      outline.bytes = outline.bytes + #event + {EVENT_BYTES}
    end
    has_events = true
  end
  if close == '1' then outline.closed = 1 end
  if fence ~= '' then outline.fence = math.max(outline.fence, tonumber(fence)) end
  if bookmark ~= '' then outline.bookmark = string.sub(bookmark, 2) end
end

for place = 3, #KEYS do
  local key = KEYS[place]
  local nonce, said, expect, fence, close, proof, bookmark =
    ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7]
  local count = tonumber(ARGV[at + 8])
  at = at + 8
  local verdict, text = first_answer(key, nonce, said)
  if not verdict and refuses(count, expect, fence) then
    verdict, text = 'refused', numbers(render(outline))
  elseif not verdict then
    append(count, fence, close, proof, bookmark)
    verdict = 'first'
    text = table.concat({{int(outline.generation), int(outline.head), int(outline.proof),
      int(outline.closed), int(count)}}, ' ')
    answers[key] = table.concat({{nonce, said, int(now), int(outline.generation), text}}, ' ')
    lives[key] = said == '-' and {ANSWER_SECONDS * 1000} or {KEY_SECONDS * 1000}
  end
  results[#results + 1] = {{verdict, text}}
  at = at + count
end
if next(answers) == nil then return results end

if has_events then
  redis.call('PEXPIRE', KEYS[2], int(max_age + {BROOM_SECONDS * 1000}))
end
local floor, gone = first_kept(outline, max_events, max_age, now), {{}}
while outline.floor < floor or (outline.bytes > max_bytes and outline.floor < outline.head) do
  local field = int(outline.floor)
  gone[#gone + 1] = field
  outline.bytes = outline.bytes - redis.call('HSTRLEN', KEYS[2], field) - {EVENT_BYTES}
  outline.floor = outline.floor + 1
  if #gone == 500 then
    redis.call('HDEL', KEYS[2], unpack(gone))
    gone = {{}}
  end
end
if #gone > 0 then redis.call('HDEL', KEYS[2], unpack(gone)) end

-- An answer without its outline would tell of what was never written.
local failure
for key, answer in pairs(answers) do
  local written = redis.pcall('SET', key, answer, 'PX', lives[key])
  failure = failure or (type(written) == 'table' and written.err and written)
end
if not failure then
  local written = redis.pcall('SET', KEYS[1], render(outline), 'PX', ARGV[5])
  failure = type(written) == 'table' and written.err and written
end
if failure then
  for key in pairs(answers) do redis.call('DEL', key) end
  return failure
end
if message(outline) ~= ended then redis.call('PUBLISH', ARGV[6], message(outline)) end
return results
""",
)

DELETE = Script(
    COMMON,
    _OUTLINE,
    _END,
    f"""
-- KEYS: outline, events, answer
-- ARGV: life of the outline, channel
-- Returns the outline as it was, less its bookmark, or '' when it did not exist.
local found = redis.call('GET', KEYS[3])
if found then return found end
local before = redis.call('GET', KEYS[1])
local outline = parse(before)
if outline.exists == 0 then return '' end
local answer = numbers(before)
redis.call('SET', KEYS[3], answer, 'PX', {ANSWER_SECONDS * 1000})
local after = parse()
after.generation, after.fence = outline.generation, outline.fence
redis.call('SET', KEYS[1], render(after), 'PX', ARGV[1])
redis.call('UNLINK', KEYS[2])
redis.call('PUBLISH', ARGV[2], message(after))
return answer
""",
)

READ = Script(
    COMMON,
    _OUTLINE,
    _FLOOR,
    """
-- KEYS: outline, events
-- ARGV: now, max events, max age, generation, sequence and proof of a cursor, limit, max bytes
-- Returns the outline (less its bookmark unless the limit is 0), the first sequence kept, the proof
-- of the cursor's own event where it is kept, and consecutive events from a sequence on: of those
-- after the cursor, or from the first kept where the log does not hold the cursor's place.
local now = clock(ARGV[1])
local generation, sequence, proof = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local limit, room = tonumber(ARGV[7]), tonumber(ARGV[8])
local text = redis.call('GET', KEYS[1])
local outline = parse(text)
local floor = first_kept(outline, tonumber(ARGV[2]), tonumber(ARGV[3]), now)
local from, own = floor, 0
if generation == outline.generation and sequence >= floor - 1 and sequence <= outline.head then
  if sequence >= floor and proof > 0 then
    local event = redis.call('HGET', KEYS[2], int(sequence))
    own = event and tonumber(string.match(event, '^%d+ (%d+)')) or 0
  end
  if own == proof or proof == 0 or sequence < floor then from = sequence + 1 end
end

local event
if limit > 0 and from <= outline.head then
  -- Where the first is missing, the database has lost it: see what is left.
  if redis.call('EXISTS', KEYS[2]) == 0 then from = outline.head + 1 end
  while from <= outline.head do
    event = redis.call('HGET', KEYS[2], int(from))
    if event then break end
    from = from + 1
  end
end
local events, next = {}, from
while event do
  events[#events + 1] = event
  next, room = next + 1, room - #event
  if #events == limit or room < 0 or next > outline.head then break end
  event = redis.call('HGET', KEYS[2], int(next))
end
text = text or ''
return {limit > 0 and numbers(text) or text, floor, own, from, events}
""",
)

ENDS = Script(
    _NUMBERS,
    f"""
-- KEYS: outlines of any number of streams. Their hash tags differ, which only a cluster of Redis
-- would mind; Upstash is none.
-- ARGV: channels to send a ping to
-- Returns the outlines, less their bookmarks, '' for those of streams that never existed.
local outlines = {{}}
for place, key in ipairs(KEYS) do outlines[place] = numbers(redis.call('GET', key) or '') end
for _, channel in ipairs(ARGV) do redis.call('PUBLISH', channel, '{PING}') end
return outlines
""",
)
