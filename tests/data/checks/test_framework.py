"""Findings are plain data, reported together; an error stops unless it is said to be meant."""

import json
import pickle
from dataclasses import dataclass

import pytest

from sapiens2_lit.data.checks import (
    CHECKS,
    Check,
    Example,
    LabelError,
    Sampling,
    render_finding,
    run_checks,
)
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.errors import SettingError


@dataclass(frozen=True)
class Numbers:
    where: str
    values: tuple[int, ...]


class Negative(Check[Numbers]):
    """Numbers below zero."""

    name = "negative"
    looks_at = Numbers
    severity = "error"

    def look(self, subject, sampling):
        bad = [value for value in sampling.pick(subject.values) if value < 0]
        if bad:
            examples = (Example(subject.where, f"number {value}", "value", str(value)) for value in bad)
            yield self.finding(
                subject,
                f"{len(bad)} numbers are below 0.",
                "--data.signed true",
                count=len(bad),
                total=len(subject.values),
                examples=examples,
            )


class Large(Negative):
    """A slow check that warns of large numbers."""

    name = "large"
    severity = "warning"
    quick = False

    def look(self, subject, sampling):
        large = sum(value > 9 for value in subject.values)
        if large:
            yield self.finding(subject, "Large.", "Divide.", count=large, total=len(subject.values))


ALL = (Large(), Negative())


def test_all_findings_come_together_the_worst_first():
    subjects = [Numbers("a", (-1, 50)), Numbers("b", (-2,) * 7), Numbers("c", (1,))]
    report = run_checks(subjects, ALL, quick=False)
    assert [(one.check, one.where, one.count) for one in report.findings] == [
        ("negative", "a", 1),
        ("negative", "b", 7),
        ("large", "a", 1),
    ]
    with pytest.raises(LabelError, match="2 errors and 1 warning") as error:
        report.raise_if_any()
    text = str(error.value)
    for part in ("[negative] a:", "[negative] b:", "[large] a:", "--data.signed true", "and 2 more"):
        assert part in text
    assert "--data.allow '[negative]'" in text
    assert "--data.allow '[large]'" not in text
    again = pickle.loads(pickle.dumps(error.value))  # as it comes from another process
    assert again.report == report


def test_quick_leaves_slow_checks_out():
    assert [one.check for one in run_checks([Numbers("a", (-1, 50))], ALL).findings] == ["negative"]


def test_what_is_allowed_is_reported_and_does_not_stop():
    report = run_checks([Numbers("a", (-1,))], ALL, allow=["negative"])
    report.raise_if_any()
    assert [one.allowed for one in report.findings] == [True]
    assert not report.errors
    assert not report.warnings
    assert "allowed error" in render_finding(report.findings[0])
    with pytest.raises(
        SettingError, match=r"data\.allow names 'positive', expected names of checks: large, neg"
    ):
        run_checks([], ALL, allow=["positive"])
    with pytest.raises(SettingError, match="expected a list"):
        run_checks([], ALL, allow="negative")


def test_findings_become_json():
    report = run_checks([Numbers("a", (-1,) * 9)], ALL)
    read = json.loads(json.dumps(report.findings[0].as_dict()))
    assert (read["check"], read["severity"], read["count"]) == ("negative", "error", 9)
    assert len(read["examples"]) == 5
    assert read["examples"][0]["field"] == "value"


@pytest.mark.parametrize("count", [0, 1, 2, 7, 48, 49, 1000])
@pytest.mark.parametrize("limit", [None, 1, 2, 48])
def test_samples_are_spread_and_always_the_same(count, limit):
    picked = Sampling(limit).pick(range(count))
    assert picked == sorted(set(picked))
    assert len(picked) == (count if limit is None else min(count, limit))
    assert picked == Sampling(limit).pick(range(count))
    if count and limit != 1:
        assert picked[0] == 0
        assert picked[-1] == count - 1


def test_checks_have_names_of_their_own_and_say_what_they_are():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for check in CHECKS:
        assert check.name.replace("_", "a").isalnum()
        assert check.__doc__
        assert check.severity in ("note", "warning", "error")


def test_settings_are_looked_at_when_made(tmp_path):
    with pytest.raises(SettingError, match=r"data\.allow names 'nothing_such'"):
        PoseDataModule(str(tmp_path), allow=["nothing_such"])
    with pytest.raises(SettingError, match=r"data\.on_bad is 'keep', expected error or skip"):
        PoseDataModule(str(tmp_path), on_bad="keep")
