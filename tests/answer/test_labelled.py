"""Labelled arrays: NumPy's behavior, members, and the ways to other libraries."""

import copy
import pickle

import numpy as np
import pytest
from answers import ARC, FOOD, HOUR, MARKET, PLANT
from hypothesis import given
from hypothesis import strategies as st

from optdsl.answer.labelled import LabelledArray, index_names
from optdsl.data.members import range_set, set_of

BUY = LabelledArray([1.5, 0.0, 12.25], [FOOD], "buy")
SHIP = LabelledArray(np.arange(6.0), [PLANT, MARKET], "ship")


def test_it_is_a_numpy_array_and_gives_plain_ones() -> None:
    assert isinstance(BUY, np.ndarray)
    assert BUY @ np.ones(3) == 13.75
    for result in (BUY + 1, BUY[:2], BUY.sum(keepdims=True), np.concatenate([BUY, BUY]), SHIP[0], np.sum(SHIP, axis=0)):
        assert type(result) is np.ndarray
    assert type(BUY[0]) is np.float64
    assert np.array_equal(SHIP.T, np.arange(6).reshape(2, 3).T)
    assert (BUY == [1.5, 0, 12.25]).all()


def test_it_cannot_be_written_on() -> None:
    with pytest.raises(ValueError, match="read-only"):
        BUY[0] = 2.0
    assert copy.deepcopy(BUY) is BUY


def test_labels_find_entries() -> None:
    assert BUY["milk"] == 0 and BUY.at("bread") == 1.5
    assert SHIP["san-diego", "chicago"] == 4
    arcs = LabelledArray(np.arange(len(ARC)), [ARC], "flow")
    assert arcs["n0", "n2"] == 1
    hours = LabelledArray(np.arange(24), [HOUR], "make")
    assert hours.at(3) == 2 and hours[3] == 3


@pytest.mark.parametrize(
    ("array", "labels", "sentence"),
    [
        (BUY, ("bred",), '"bred" is not a member of FOOD; did you mean "bread"?'),
        (BUY, (3,), '3 is not a member of FOOD (its members: "bread", "milk", "beans in tomato sauce")'),
        (SHIP, ("seattle",), "ship over [PLANT, MARKET] takes 2 labels, not 1"),
    ],
)
def test_wrong_labels_are_explained(array: LabelledArray, labels: tuple, sentence: str) -> None:
    with pytest.raises(KeyError) as caught:
        array.at(*labels)
    assert str(caught.value) == sentence


def test_views_without_labels_say_so() -> None:
    with pytest.raises(TypeError, match="no labels"):
        SHIP.T.to_dict()
    assert repr(SHIP.T).startswith("array(")


def test_other_libraries_get_the_labels() -> None:
    assert BUY.to_dict() == {"bread": 1.5, "milk": 0.0, "beans in tomato sauce": 12.25}
    assert SHIP.to_dict()["seattle", "topeka"] == 2
    assert LabelledArray(3.0).to_dict() == {(): 3.0}
    series = SHIP.to_pandas()
    assert series["san-diego", "topeka"] == 5 and list(series.index.names) == ["PLANT", "MARKET"]
    assert LabelledArray(3.0, (), "x").to_pandas().tolist() == [3.0]
    frame = SHIP.to_polars()
    assert frame.columns == ["PLANT", "MARKET", "value"] and frame["value"].to_list() == list(range(6))


def test_names_of_index_positions_are_distinct() -> None:
    assert index_names([ARC]) == ("ARC.1", "ARC.2")
    assert index_names([FOOD, FOOD]) == ("FOOD", "FOOD_2")
    assert index_names([range_set("value", 1, 2)], taken=("value",)) == ("value_2",)


def test_repr_is_short() -> None:
    assert repr(BUY) == 'buy[FOOD] = {"bread": 1.5, "milk": 0, "beans in tomato sauce": 12.25}'
    assert repr(LabelledArray(2.0, (), "x")) == "x = 2.0"
    assert repr(LabelledArray(np.zeros(1560), [ARC], "f")).endswith("... (1560 entries)}")
    assert f"{LabelledArray(2.0, (), 'x'):.3f}" == "2.000"


@given(st.lists(st.integers(1, 4), max_size=3), st.booleans())
def test_pickles_and_dicts_keep_every_entry(sizes: list[int], text: bool) -> None:
    axes = [
        set_of(f"S{k}", [f"m{i}" for i in range(size)]) if text else range_set(f"S{k}", 5, 4 + size)
        for k, size in enumerate(sizes)
    ]
    array = LabelledArray(np.arange(np.prod(sizes, dtype=int)), axes, "a")
    again = pickle.loads(pickle.dumps(array))
    assert again.to_dict() == array.to_dict() and again.name == "a"
    for label, value in array.to_dict().items():
        assert array.at(*(label if isinstance(label, tuple) else (label,))) == value
