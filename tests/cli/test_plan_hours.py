"""Hours of a training: exact where the rate was measured, a range by the card, an error for a card nobody knows."""

import re

import pytest

from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.plan_hours import known_card
from sapiens2_lit.errors import SettingError

RUN = ["--config", "pose_17.yaml", "--config", "size/smoke.yaml", "--data.root", "x", "--memory", "80"]


@pytest.mark.slow
def test_a_measured_rate_says_the_hours(capsys: pytest.CaptureFixture) -> None:
    options = ["--trainer.max_steps", "1800", "--data.batch_size", "4", "--images_per_second", "1"]
    assert main(["plan", *RUN, *options]) == 0
    assert "1,800 steps, 7,200 images: 2 h 0 min at 1 images/s" in capsys.readouterr().out


@pytest.mark.slow
def test_a_faster_card_takes_less_and_the_range_is_said(capsys: pytest.CaptureFixture) -> None:
    rates = []
    for card in ("T4", "H100"):
        assert main(["plan", *RUN, "--card", card]) == 0
        said = capsys.readouterr().out
        assert "10,000 steps" in said and "the most by default" in said and "20% to 45%" in said
        found = re.search(r"peak, ([\d.e+]+) to ([\d.e+]+) images/s", said)
        assert found
        rates.append((float(found[1]), float(found[2])))
    assert rates[0][0] < rates[0][1] and rates[0] < rates[1]


def test_unknown_cards_and_rates_are_refused(capsys: pytest.CaptureFixture) -> None:
    assert known_card(None) is None
    with pytest.raises(SettingError, match=r"--card Voodoo: its speed is not known; expected one of .*H100"):
        known_card("Voodoo")
    assert main(["plan", *RUN, "--images_per_second", "0"]) == 1
    assert "expected a number above 0" in capsys.readouterr().err
