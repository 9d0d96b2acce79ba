"""Times and numbers as they are said."""

import pytest

from sapiens2_lit.visualization.words import count, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (3600, "1 h 0 min"),
        (6720, "1 h 52 min"),
        (86400 * 3.2, "3 d 5 h"),
    ],
)
def test_durations_are_said_in_two_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [(999, "999"), (1000, "1 thousand"), (3_734_112, "3.73 million"), (1_169_000_000, "1.17 billion")],
)
def test_numbers_are_said_in_three_digits(number: int, words: str) -> None:
    assert count(number) == words
