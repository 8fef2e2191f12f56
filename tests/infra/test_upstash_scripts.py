"""Scripts: their digests, and Upstash's flag for locks on keys (Key-Based Locking)."""

import hashlib

import pytest

from tests.infra.rest import Rest

LOCKED = "#!lua flags=allow-key-locking\n"
READING = "#!lua flags=no-writes,allow-key-locking\n"
DYNAMIC = "ERR Dynamic keys are not allowed in Lua scripts when 'allow-key-locking' flag is set."


def digest(text: str) -> str:
    """The digest by which a client calls a script."""
    return hashlib.sha1(text.encode()).hexdigest()


@pytest.mark.parametrize("flags", ["", READING, "#!lua flags=no-writes\n"])
async def test_a_script_is_called_by_the_digest_of_the_clients_text(rest: Rest, flags: str) -> None:
    await rest.call("SET", "foo", "bar")
    text = f"{flags}return redis.call('GET', KEYS[1])"
    assert (await rest.error("EVALSHA", digest(text), 1, "foo")).startswith("NOSCRIPT ")
    assert await rest.call("EVAL", text, 1, "foo") == "bar"
    assert await rest.call("EVALSHA", digest(text), 1, "foo") == "bar"
    assert await rest.call("EVALSHA_RO", digest(text).upper(), 1, "foo") == "bar"
    assert await rest.call("SCRIPT", "EXISTS", digest(text), "0" * 40) == [1, 0]
    assert await rest.call("SCRIPT", "FLUSH") == "OK"
    assert (await rest.error("EVALSHA", digest(text), 1, "foo")).startswith("NOSCRIPT ")
    assert await rest.call("SCRIPT", "LOAD", text) == digest(text)
    assert await rest.call("EVALSHA", digest(text), 1, "foo") == "bar"


@pytest.mark.parametrize(
    "call",
    [
        "redis.call('SET', 'other', 1)",
        "redis.call('set', KEYS[1] .. 'x', 1)",
        "redis.call('MGET', KEYS[1], 'other')",
        "redis.call('XREAD', 'STREAMS', 'other', '0')",
        "redis.call('ZADD', ARGV[1], 1, 'm')",
    ],
)
async def test_with_the_flag_every_key_must_be_declared(rest: Rest, call: str) -> None:
    assert (await rest.error("EVAL", f"{LOCKED}return {call}", 1, "foo", "other")).startswith(
        f"{DYNAMIC} Key was: "
    )
    assert await rest.call("DBSIZE") == 0
    failed = call.replace("redis.call", "redis.pcall")
    assert await rest.call("EVAL", f"{LOCKED}return {failed}.err", 1, "foo", "other") == (
        f"{DYNAMIC} Key was: {'foox' if '..' in call else 'other'}"
    )
    # Without the flag such a script runs, if more slowly.
    assert (await rest.send("EVAL", f"return {call}", 1, "foo", "other")).status_code == 200


async def test_with_the_flag_declared_keys_and_none_are_fine(rest: Rest) -> None:
    text = f"""{LOCKED}
    redis.call('XADD', KEYS[1], '1-1', 'text', ARGV[1])
    redis.call('XADD', KEYS[2], '1-1', 'text', ARGV[1])
    redis.call('XTRIM', KEYS[1], 'MAXLEN', 10)
    redis.call('PUBLISH', 'channel', 'message')
    redis.call('TIME')
    redis.call('DEL', 'a' .. 'b')
    return {{redis.call('XREAD', 'STREAMS', KEYS[1], KEYS[2], 0, 0), redis.sha1hex('')}}
    """
    read, checksum = await rest.call("EVAL", text, 3, "one", "two", "ab", "hello")
    assert read == [
        ["one", [["1-1", ["text", "hello"]]]],
        ["two", [["1-1", ["text", "hello"]]]],
    ]
    assert checksum == digest("")


@pytest.mark.parametrize("name", ["FLUSHALL", "flushdb"])
async def test_with_the_flag_the_whole_database_is_out_of_reach(rest: Rest, name: str) -> None:
    await rest.call("SET", "foo", "bar")
    assert "not allowed" in await rest.error("EVAL", f"{LOCKED}return redis.call('{name}')", 0)
    assert await rest.call("DBSIZE") == 1
    await rest.call("EVAL", f"return redis.call('{name}')", 0)
    assert await rest.call("DBSIZE") == 0


async def test_the_stores_own_errors_stay(rest: Rest) -> None:
    await rest.call("SET", "foo", "bar")
    wrong_type = await rest.error("EVAL", f"{LOCKED}redis.call('LPUSH', KEYS[1], 1)", 1, "foo")
    assert wrong_type.startswith("WRONGTYPE ")
    assert "Unknown" in await rest.error("EVAL", f"{LOCKED}redis.call('NOPE')", 0)
    assert (await rest.error("EVAL", "#!lua flags=nonsense\nreturn 1", 0)).startswith("ERR ")
    wrong = "\n\nreturn nil + 1"
    error = await rest.error("EVAL", LOCKED + wrong, 0)
    assert (
        error.partition("script:")[2]
        == ((await rest.error("EVAL", f"#!lua\n{wrong}", 0)).partition("script:")[2])
    )
    assert "user_script:4" in error


@pytest.mark.parametrize("flags", ["", READING, "#!lua flags=allow-key-locking, no-writes\n"])
async def test_a_read_only_script_cannot_write(rest: Rest, flags: str) -> None:
    error = await rest.error("EVAL_RO", f"{flags}redis.call('SET', KEYS[1], 1)", 1, "foo")
    assert "Write commands are not allowed from read-only scripts" in error


async def test_a_script_with_flags_must_say_that_it_only_reads(rest: Rest) -> None:
    """As the store has it; Upstash's documentation combines the two flags for EVAL_RO."""
    assert "write flag" in await rest.error("EVAL_RO", f"{LOCKED}return 1", 0)


async def test_scripts_in_a_transaction_are_translated_too(rest: Rest) -> None:
    text = f"{LOCKED}return redis.call('INCR', KEYS[1])"
    answer = await rest.http.post(
        "/multi-exec",
        json=[["SCRIPT", "LOAD", text], ["EVAL", text, 1, "n"], ["EVALSHA", digest(text), 1, "n"]],
    )
    assert answer.json() == [{"result": digest(text)}, {"result": 1}, {"result": 2}]
