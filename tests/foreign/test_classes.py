"""Which output is which class."""

import pytest

from squeezed.foundation.errors import UserError
from squeezed.graphs.foreign.classes import BACKGROUND_FIRST, match_outputs


def names_file(tmp_path, names):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(names) + "\n")
    return path


def test_in_order_where_there_are_as_many():
    found = match_outputs(3, None, ["cat", "dog", "owl"], "m")
    assert (found.order, found.names) == ([0, 1, 2], ["cat", "dog", "owl"])


def test_by_name_and_the_others_behind(tmp_path):
    path = names_file(tmp_path, ["Owl", "sea_lion", "cat", "dog"])
    found = match_outputs(4, path, ["cat", "Sea lion"], "m")
    assert found.order == [2, 1, 0, 3]
    assert found.names == ["cat", "Sea lion", "Owl", "dog"]


def test_a_background_is_left_out(tmp_path):
    path = names_file(tmp_path, ["background", "cat", "dog"])
    assert match_outputs(3, path, ["n01", "n02"], "m").order == [1, 2]
    assert match_outputs(3, BACKGROUND_FIRST, ["n01", "n02"], "m").order == [1, 2]


def test_a_number_is_a_place():
    assert match_outputs(12, None, ["10", "2"], "m").order[:2] == [10, 2]
    assert len(match_outputs(12, None, ["10", "2"], "m").order) == 12


def test_without_classes_all_outputs_are_kept():
    found = match_outputs(2, None, None, "m")
    assert (found.order, found.names) == ([0, 1], ["output 0", "output 1"])


def test_a_background_is_suggested():
    with pytest.raises(UserError, match="background_first"):
        match_outputs(3, None, ["cat", "dog"], "m")


def test_an_unknown_name_is_named(tmp_path):
    path = names_file(tmp_path, ["cat", "dog", "owl"])
    with pytest.raises(UserError, match="'eel' is not among the names"):
        match_outputs(3, path, ["cat", "eel"], "m")


def test_a_list_of_another_length_is_refused(tmp_path):
    path = names_file(tmp_path, ["cat", "dog"])
    with pytest.raises(UserError, match="holds 2 names, but m has 3 outputs"):
        match_outputs(3, path, ["cat", "dog"], "m")
