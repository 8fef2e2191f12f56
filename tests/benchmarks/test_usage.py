"""Counts of a store's requests: read from the store's own, and checked against the server's."""

from benchmarks.rig import STREAM, fresh
from benchmarks.subjects import MEMORY, STORES
from benchmarks.usage import Usage

UPSTASH = next(subject for subject in STORES if subject.name == "upstash")


def test_a_store_s_own_count_is_told_apart_by_its_names() -> None:
    counted = {"EVALSHA": 3.0, "EVALSHA_RO": 1.0, "PutItem": 2.0, "Query": 5.0}
    counted |= {"read_units": 6.5, "write_units": 4.0}
    assert Usage.parse(counted) == Usage(4, 7, 6.5, 4.0)
    assert Usage.parse({}) == Usage()


def test_counts_are_added_and_shared_out() -> None:
    one, other = Usage(4, 6, 8, 10), Usage(1, 2, 3, 4)
    assert one + other == Usage(5, 8, 11, 14)
    assert one - other == Usage(3, 4, 5, 6)
    assert (other - one).positive == Usage()
    assert (one - Usage(5, 5, 5, 5)).positive == Usage(0, 1, 3, 5)
    assert one / 2 == Usage(2, 3, 4, 5)
    assert one * 0.5 == one / 2
    assert other.figures("idle")["idle_read_units"] == 3


async def test_the_server_counts_what_the_emulator_bills() -> None:
    async with fresh(UPSTASH) as rig:
        assert rig.ground is not None and rig.ground.upstash is not None
        async with rig.subscribers(3) as audience:
            published = await rig.publish(events=5, workers=1)
            audience.release({"order": published["order"]})
            assert (await audience.result(30))["delivered"] == 15
            billed = await rig.ground.upstash.commands()
            own = await rig.usage()
    assert own == Usage(commands=sum(billed.values()))
    assert own.commands >= 5 + 1  # an append for each event, and what readers need


async def test_a_publisher_counts_for_itself_without_what_it_did_before() -> None:
    async with fresh(UPSTASH) as rig:
        assert rig.ground is not None and rig.ground.upstash is not None
        before = await rig.usage()
        published = await rig.publish_straight(stream=f"{STREAM}-other", events=7)
        assert await rig.usage() == before
    assert Usage.parse(published["usage"]) == Usage(commands=7)


async def test_nothing_is_asked_of_an_app_that_does_not_count() -> None:
    async with fresh(MEMORY) as rig:
        assert await rig.usage() == Usage()
