"""The marks are found however the bytes are cut, and what is wrong is counted as what it is."""

import pytest

from benchmarks.marks import (
    DATA_BYTES,
    MarkReader,
    Verdict,
    data,
    judge,
    published_ns,
    sequence_of,
)


def test_data_carries_a_mark_and_has_its_size() -> None:
    text = data(42, 1_234_567)
    assert len(text) == DATA_BYTES
    (mark,) = MarkReader().feed(text.encode())
    assert (sequence_of(mark), published_ns(mark)) == (42, 1_234_567)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
def test_marks_are_found_in_pieces_of_any_size(size: int) -> None:
    raw = b"retry: 1\n\n" + b"".join(
        f"id: {number}\ndata: {data(number, 7)}\n\n".encode() for number in range(20)
    )
    reader = MarkReader()
    found = [
        mark
        for begin in range(0, len(raw), size)
        for mark in reader.feed(raw[begin : begin + size])
    ]
    assert [sequence_of(mark) for mark in found] == list(range(20))


def test_a_mark_counts_once_it_is_whole() -> None:
    reader = MarkReader()
    assert reader.feed(b"data: ~1") == []
    assert reader.feed(b":2") == []
    assert reader.feed(b"~xx ~3:4") == [b"1:2"]
    assert reader.feed(b"~") == [b"3:4"]


ORDER = [0, 2, 1, 3, 4]


@pytest.mark.parametrize(
    ("got", "verdict"),
    [
        ([0, 2, 1, 3, 4], Verdict()),
        ([], Verdict(lost=5)),
        ([0, 2, 3, 4], Verdict(lost=1)),
        ([0, 2, 1, 3], Verdict(lost=1)),
        ([0, 2, 2, 1, 3, 4], Verdict(repeated=1)),
        ([0, 2, 1, 3, 4, 0], Verdict(repeated=1)),
        ([0, 1, 2, 3, 4], Verdict(disordered=1)),
        ([4, 0, 2, 1, 3], Verdict(disordered=4)),
        ([0, 2, 1, 3, 4, 9], Verdict(repeated=1)),
        ([2, 0, 0, 4], Verdict(lost=2, repeated=1, disordered=1)),
    ],
)
def test_what_is_wrong(got: list[int], verdict: Verdict) -> None:
    assert judge(ORDER, got) == verdict
    assert verdict.is_right is (got == ORDER)


def test_verdicts_add_up() -> None:
    assert Verdict(1, 2, 3) + Verdict(10, 20, 30) == Verdict(11, 22, 33)
