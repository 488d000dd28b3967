"""`kattn.regions`: values that say which keys may be seen."""

import pytest

from kattn import regions


def test_global_hides_nothing():
    assert regions.Global().visible(3, 5) is None


def test_regions_are_values():
    assert regions.Global() == regions.Global()
    assert hash(regions.Global()) == hash(regions.Global())
    assert len({regions.Global(), regions.get("global")}) == 1
    with pytest.raises(AttributeError):
        regions.Global().width = 3


def test_the_base_class_hides_that_it_does_not_know():
    with pytest.raises(NotImplementedError):
        regions.Region().visible(3, 5)
