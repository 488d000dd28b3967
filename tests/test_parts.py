"""`kattn.parts`: a part from a name, an object or a config, for all three kinds."""

import json

import keras
import pytest

from kattn import normalizers, parts, regions, scores

KINDS = {
    "score": (scores, scores.Score),
    "region": (regions, regions.Region),
    "normalizer": (normalizers, normalizers.Normalizer),
}
NAMES = [(kind, name) for kind in KINDS for name in KINDS[kind][0]._NAMED]


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_a_name_an_object_and_a_config_are_the_same(kind, name):
    module, base = KINDS[kind]
    part = module.get(name)
    assert isinstance(part, base)
    assert module.get(part) is part
    config = json.loads(json.dumps(module.serialize(part)))
    again = module.get(config)
    assert type(again) is type(part)
    assert again.get_config() == part.get_config()
    registered = keras.saving.get_registered_name(type(part))
    assert registered == f"kattn>{type(part).__name__}"
    if isinstance(part, parts.Value):
        assert again == part and hash(again) == hash(part)


def test_arguments_survive():
    score = scores.get(scores.serialize(scores.Additive(units=7, name="mine")))
    assert (score.units, score.name) == (7, "mine")


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_name(kind):
    name = next(iter(KINDS[kind][0]._NAMED))
    message = f"Unknown {kind}.*Did you mean '{name}'"
    with pytest.raises(ValueError, match=message):
        KINDS[kind][0].get(name + "x")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("identifier", [None, 3, ["dot"], keras.layers.Dense])
def test_a_wrong_type(kind, identifier):
    with pytest.raises(TypeError, match=f"A {kind} is a name .*Received"):
        KINDS[kind][0].get(identifier)


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_of_something_else(kind):
    config = keras.saving.serialize_keras_object(keras.layers.Dense(3))
    with pytest.raises(TypeError, match=f"A {kind} is a name"):
        KINDS[kind][0].get(config)
