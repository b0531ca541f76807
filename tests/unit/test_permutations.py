"""RankGPT's permutations: honest repair, and refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multistage.teachers.permutations import format_permutation, parse_permutation


@given(st.permutations(range(1, 21)))
def test_a_permutation_survives_writing_and_reading(order):
    assert parse_permutation(format_permutation(order), 20) == (order, False)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("[2] > [1]", [2, 1, 3]),
        ("[3] > [1] > [3] > [2]", [3, 1, 2]),
        ("[2] > [7] > [1] > [3]", [2, 1, 3]),
        ("[3] > [2] > [1].", [3, 2, 1]),
        ("[1]4 > [3]", [1, 3, 2]),
    ],
)
def test_a_malformed_permutation_is_repaired(text, order):
    assert parse_permutation(text, 3) == (order, True)


@pytest.mark.parametrize("text", ["", "I cannot rank these 3 passages.", "[None of the 2 passages is relevant]", "[0] > [9]"])
def test_a_refusal_is_not_taken_for_a_ranking(text):
    assert parse_permutation(text, 3) is None


@given(st.text(alphabet="[]0123456789 >.,a\n", max_size=80))
def test_whatever_is_parsed_is_a_permutation(text):
    found = parse_permutation(text, 8)
    assert found is None or sorted(found.order) == list(range(1, 9))
