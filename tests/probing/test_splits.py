"""Three splits out of one or two: disjoint, whole, stable, subjects together."""

import pytest

from sapiens2_lit.errors import DataError
from sapiens2_lit.probing.groups import Group, group_among, group_of
from sapiens2_lit.probing.splits import complete_splits

STEMS = [f"s{number % 40:02d}/{number:03d}" for number in range(200)]


@pytest.mark.parametrize("group", [None, group_of("folder")])
def test_training_pictures_alone_make_three_splits(group: Group | None) -> None:
    found = complete_splits({"train": STEMS}, group, "people")
    assert sorted(stem for one in found.values() for stem in one) == sorted(STEMS)
    assert len(found["train"]) > len(found["test"]) > len(found["val"]) > 0
    fewer = complete_splits({"train": STEMS[:150]}, group, "people")
    assert all(set(fewer[split]) == set(found[split]) & set(STEMS[:150]) for split in found)
    if group is not None:
        people = [{group(stem) for stem in one} for one in found.values()]
        assert not (people[0] & people[1] | people[0] & people[2] | people[1] & people[2])


@pytest.mark.parametrize("there", ["val", "test"])
def test_what_is_missing_is_half_of_the_other(there: str) -> None:
    found = complete_splits({"train": STEMS[:100], there: STEMS[100:]}, None, "people")
    assert found["train"] == STEMS[:100]
    assert sorted(found["val"] + found["test"]) == sorted(STEMS[100:])
    assert min(len(found["val"]), len(found["test"])) > 25


def test_splits_that_are_there_stay_as_they_are() -> None:
    given = {"train": STEMS[:100], "val": STEMS[100:110], "test": STEMS[110:]}
    assert complete_splits(given, None, "people") == given


def test_one_folder_that_holds_all_is_no_subject() -> None:
    stems = [f"default/{number:03d}" for number in range(100)]
    assert group_among("folder", stems) is None
    group = group_among("folder", [*stems, "other/1"])
    assert group is not None and group("default/001") == "default"
    found = complete_splits({"train": stems}, group_among("folder", stems), "people")
    assert all(found.values())


def test_one_subject_cannot_be_split() -> None:
    with pytest.raises(DataError, match=r"none of the 5 images of train falls to .*data\.group"):
        complete_splits({"train": [f"one/{number}" for number in range(5)]}, group_of("folder"), "people")
