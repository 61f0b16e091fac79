"""Sheets that live at the same time do not share words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.memory_plan import ALIGN_WORDS, Interval, plan

SPANS = st.lists(
    st.tuples(st.integers(1, 200), st.integers(0, 12), st.integers(0, 6)), max_size=20
)


@given(SPANS)
def test_no_two_live_sheets_overlap(spans: list[tuple[int, int, int]]) -> None:
    intervals = [
        Interval(key, words, first, first + length)
        for key, (words, first, length) in enumerate(spans)
    ]
    offsets, total = plan(intervals)
    for a in intervals:
        assert offsets[a.key] % ALIGN_WORDS == 0
        assert offsets[a.key] + a.words <= total
        for b in intervals:
            if a is b or a.first > b.last or b.first > a.last:
                continue
            before = offsets[a.key] + a.words <= offsets[b.key]
            after = offsets[b.key] + b.words <= offsets[a.key]
            assert before or after


def test_words_are_used_again() -> None:
    one, two = Interval("a", 64, 0, 1), Interval("b", 64, 2, 3)
    assert plan([one, two])[1] == 64
