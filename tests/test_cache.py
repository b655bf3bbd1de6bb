import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest

from dps.storage import cache

ARRAYS = {"scores": np.arange(12, dtype=np.float64).reshape(3, 4), "labels": np.array([3, 1], dtype=np.int64)}


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "entry.npz"
    cache.save(path, ARRAYS)
    loaded = cache.load(path)
    assert loaded is not None
    assert loaded.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)


def test_no_entry_is_none(tmp_path: Path) -> None:
    assert cache.load(tmp_path / "absent.npz") is None
    assert cache.load(tmp_path) is None


@pytest.mark.parametrize("position", [0, 40, -1])
def test_an_entry_with_one_flipped_bit_is_not_trusted(tmp_path: Path, position: int) -> None:
    path = tmp_path / "entry.npz"
    cache.save(path, ARRAYS)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert cache.load(path) is None


@pytest.mark.parametrize("kept_bytes", [0, 20, 32, 100])
def test_a_truncated_entry_is_not_trusted(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "entry.npz"
    cache.save(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    assert cache.load(path) is None


def test_a_foreign_file_is_not_trusted_even_with_a_right_digest(tmp_path: Path) -> None:
    pickled = io.BytesIO()
    np.savez(pickled, objects=np.array([{"a": 1}], dtype=object))
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    for payload in (b"", b"something else", pickled.getvalue(), single.getvalue()):
        path = tmp_path / "entry.npz"
        path.write_bytes(hashlib.sha256(payload).digest() + payload)
        assert cache.load(path) is None


def test_an_interrupted_write_keeps_the_old_entry_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "entry.npz"
    cache.save(path, ARRAYS)

    def interrupted(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.save(path, {"scores": np.zeros(1)})
    loaded = cache.load(path)
    assert loaded is not None
    assert loaded.keys() == ARRAYS.keys()
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_without_pickles_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="without pickles"):
        cache.save(tmp_path / "entry.npz", {"objects": np.array([{"a": 1}], dtype=object)})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(UserWarning, match="set DPS_CACHE"):
        cache.save(tmp_path / "file" / "entry.npz", ARRAYS)


def test_digest_tells_apart_what_differs() -> None:
    zeros = np.zeros((2, 3), dtype=np.float32)
    keys = [
        cache.digest("ab", "c"),
        cache.digest("a", "bc"),
        cache.digest(b"ab", b"c"),
        cache.digest(zeros),
        cache.digest(zeros.T),
        cache.digest(zeros.astype(np.int32)),
        cache.digest(),
    ]
    assert len(set(keys)) == len(keys)
    assert cache.digest(zeros, "x") == cache.digest(np.zeros((2, 3), dtype=np.float32), "x")
    assert cache.digest(np.arange(6).reshape(2, 3).T) == cache.digest(np.array([[0, 3], [1, 4], [2, 5]]))


def test_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("DPS_CACHE", raising=False)
    assert cache.folder() == tmp_path / ".cache" / "dps"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "dps"
    monkeypatch.setenv("DPS_CACHE", str(tmp_path / "mine"))
    assert cache.folder() == tmp_path / "mine"
