"""Files that are written whole, and YAML files as a stranger may have handed them over."""

import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dps.storage.files import read_yaml, temporary, write_atomically

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LAUGHS, "line 2 repeats the anchor a, and anchors are not read"),
        ("a: " + "[" * 1_000_000, "line 1 is more than 50 levels deep"),
        ("a: " + "{b: " * 1_000_000, "line 1 is more than 50 levels deep"),
        ("a: 1\n" * 1_000_000, "it has 5000000 bytes, and more than 4194304 are not read"),
        ("a: ${oc.env:HOME}", "line 1 holds the interpolation ${oc.env:HOME}, where a value belongs"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("a: 2026-99-99", "month must be in 1..12"),
        ("a: \udcff", "can't decode byte 0xff"),
        ("a: 1\nb: {c: 2, c: 3}", "line 2 repeats the key c"),
        ("", "it does not hold a dict"),
        ("- a", "it does not hold a dict"),
        ("lr: {{ lr }}", "found unhashable key"),
    ],
)
@pytest.mark.fault("a YAML file that grows, or reads the environment")
def test_what_dps_would_not_write_is_refused_at_once(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ValueError) as error:
        read_yaml(path, dict, "restore the file")
    seconds, most_bytes = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sentence = str(error.value)
    assert sentence.startswith(f"{path} is damaged: ") and sentence.endswith("; restore the file")
    assert what in sentence and "\n" not in sentence
    assert seconds < 1 and most_bytes < 50e6


def test_what_was_typed_is_kept_as_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "told")
    (tmp_path / "overrides.yaml").write_text("- batch_size=${oc.env:SECRET}\n- data.root=\\${x}\n")
    found = read_yaml(tmp_path / "overrides.yaml", list, "restore the file")
    assert found == ["batch_size=${oc.env:SECRET}", "data.root=\\${x}"]
    (tmp_path / "overrides.yaml").write_text("[]\n")
    assert read_yaml(tmp_path / "overrides.yaml", list, "restore the file") == []


def test_what_a_killed_writer_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    temporary(path).write_text("cut sho")
    write_atomically(path, "whole")
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    path, precious = tmp_path / "trials.csv", tmp_path / "precious"
    precious.write_text("not ours")
    temporary(path).symlink_to(precious)
    with pytest.raises(OSError) as error:
        write_atomically(path, "ours")
    assert error.value.filename == str(path) and precious.read_text() == "not ours"


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path, texts = tmp_path / "scores", [letter * 100_000 for letter in "abcdefgh"]

    def write(text: str) -> bool:
        for _ in range(10):
            write_atomically(path, text)
            if path.read_text() not in texts:
                return False
        return True

    with ThreadPoolExecutor(len(texts)) as pool:
        assert all(pool.map(write, texts))
    assert list(tmp_path.iterdir()) == [path]
