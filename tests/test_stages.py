"""What commands that train no study say that they are at."""

import re
import time

import pytest

from dps.stages import Stages


def test_stages_are_said_on_stderr_as_they_begin(capsys: pytest.CaptureFixture[str]) -> None:
    with Stages("dps-bench") as at:
        at("first")
        said = capsys.readouterr()
        assert not said.out and re.fullmatch(r"dps-bench: after 0\.\d s: first\n", said.err)
        at("second")
        assert "second" in capsys.readouterr().err


def test_a_command_that_is_quick_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Stages("dps-report", quiet_seconds=60) as at:
        at("first")
        at("second")
    assert capsys.readouterr() == ("", "")


def test_in_the_middle_of_a_long_stage_it_is_said_at_last(capsys: pytest.CaptureFixture[str]) -> None:
    said = ""
    with Stages("dps-report", quiet_seconds=0.05) as at:
        at("long")
        end = time.monotonic() + 10
        while "long" not in said and time.monotonic() < end:
            time.sleep(0.01)
            said += capsys.readouterr().err
        at("next")
    assert said.count("long") == 1 and "next" in capsys.readouterr().err
