"""The report's folder: what is removed and what is kept, whenever the command is killed."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dps.report import manifest, output
from dps.report.page import GENERATOR

PAGE = {output.PAGE: GENERATOR.encode()}


def files(*names: str, content: bytes = b"ours") -> dict[str, bytes]:
    return PAGE | {name: content + name.encode() for name in names}


def kill_at(moment: int, monkeypatch: pytest.MonkeyPatch, folder: Path, new: dict[str, bytes]) -> bool:
    """Write the report, but for what comes after this many files; False where it was not killed."""
    replace, replaced = os.replace, iter(range(1000))

    def dying(*paths: Any) -> None:
        if next(replaced) == moment:
            raise KeyboardInterrupt
        replace(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        try:
            output.write(folder, new)
        except KeyboardInterrupt:
            return True
    return False


@pytest.mark.fault("dps-report, killed at each of its writes")
def test_after_a_kill_at_any_moment_nothing_of_ours_is_left_and_nothing_of_theirs_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for moment in range(100):
        folder = tmp_path / str(moment)
        output.write(folder, files("a.png", "b.png"))
        (folder / "mine.png").write_bytes(b"ours" + b"a.png")
        was_killed = kill_at(moment, monkeypatch, folder, files("b.png", "c.png", content=b"new"))
        output.check(folder)
        output.write(folder, files("d.png"))
        assert {path.name for path in folder.iterdir()} == {*PAGE, "d.png", "mine.png", manifest.FILE}
        if not was_killed:
            break
    assert moment == 5  # a manifest, three files and a manifest


def test_a_first_report_that_was_killed_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for moment in (0, 1, 2):
        assert kill_at(moment, monkeypatch, tmp_path / str(moment), files("a.png"))
        output.check(tmp_path / str(moment))
    (tmp_path / "at once").mkdir()
    (tmp_path / "at once" / f".{manifest.FILE}.tmp").touch()
    output.check(tmp_path / "at once")


@pytest.mark.fault("a user's own files in report/")
def test_what_was_changed_since_stays_when_it_is_no_longer_drawn(tmp_path: Path) -> None:
    output.write(tmp_path, files("a.png", "b.png", "c.png"))
    (tmp_path / "a.png").write_bytes(b"with a note")
    (tmp_path / "c.png").rename(tmp_path / "kept")
    (tmp_path / "c.png").symlink_to("kept")
    for _ in range(2):
        output.write(tmp_path, files())
    assert {path.name for path in tmp_path.iterdir()} == {*PAGE, "a.png", "c.png", "kept", manifest.FILE}


@pytest.mark.fault("a user's own files in report/")
def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"mine")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "a.png").symlink_to(tmp_path / "elsewhere")
    output.write(tmp_path / "report", files("a.png"))
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert (tmp_path / "report" / "a.png").read_bytes() == b"oursa.png"


@pytest.mark.parametrize("text", ["", "[1]", '{"a.png": 3}', '{"../mine": ["%s"]}', "[" * 100_000])
@pytest.mark.fault("a user's own files in report/")
def test_a_manifest_that_no_report_wrote_removes_nothing(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "report"
    output.write(folder, files())
    for path in (tmp_path / "mine", folder / "a.png"):
        path.write_bytes(b"mine")
    (folder / manifest.FILE).write_text(text.replace("%s", manifest.digest(b"mine")))
    output.write(folder, files())
    assert (tmp_path / "mine").exists() and (folder / "a.png").exists()
    assert list(json.loads((folder / manifest.FILE).read_text())) == [output.PAGE]


@pytest.mark.fault("a user's own files in report/")
def test_a_report_of_before_there_was_a_manifest_loses_nothing(tmp_path: Path) -> None:
    for name, content in files("a.png").items():
        (tmp_path / name).write_bytes(content)
    output.check(tmp_path)
    output.write(tmp_path, files("b.png"))
    assert {path.name for path in tmp_path.iterdir()} == {*PAGE, "a.png", "b.png", manifest.FILE}
