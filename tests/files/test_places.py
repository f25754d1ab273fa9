"""Places for output: checked before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.files import check_output_file, check_output_folder


def test_a_place_that_is_free_or_of_the_right_kind_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "old.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "new" / "deep", Path("relative"), Path()):
        check_output_folder(folder)
    for file in (tmp_path / "old.json", tmp_path / "new" / "one.json", Path("one.json")):
        check_output_file(file)


@pytest.mark.parametrize("below", ["", "new", "new/deep"])
def test_a_file_in_the_way_is_named(tmp_path: Path, below: str):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(NotADirectoryError, match="taken: expected a folder or nothing, found a file"):
        check_output_folder(tmp_path / "taken" / below)
    with pytest.raises(NotADirectoryError, match="taken: expected a folder or nothing, found a file"):
        check_output_file(tmp_path / "taken" / below / "one.json")


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path):
    with pytest.raises(IsADirectoryError, match="expected a file or nothing, found a folder"):
        check_output_file(tmp_path)
