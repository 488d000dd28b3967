"""`kattn.names`: what is said of an unknown name."""

import pytest

from kattn import names


@pytest.mark.parametrize(
    ("name", "nearest"), [("dott", "dot"), ("aditive", "additive"), ("Scaled_dot", 0)]
)
def test_the_nearest_name_is_offered(name, nearest):
    error = names.unknown("score", name, ["dot", "scaled_dot", "additive"])
    assert isinstance(error, ValueError)
    nearest = nearest or "scaled_dot"
    assert str(error) == (
        "Unknown score. Expected one of: additive, dot, scaled_dot. "
        f"Received: {name!r}. Did you mean {nearest!r}?"
    )


@pytest.mark.parametrize("name", ["xyzzy", 7, None])
def test_nothing_is_offered_where_nothing_is_near(name):
    error = names.unknown("score", name, ["dot"])
    assert "Did you mean" not in str(error)
    assert repr(name) in str(error)
