"""Images and cases of the training stay out of the validation."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.data import check_separate, first_entries


def entry(folder: Path, name: str, content: str, **more: str) -> dict:
    (folder / name).write_text(content)
    return {"image": str(folder / name), **more}


def test_other_images_pass(tmp_path: Path):
    check_separate([entry(tmp_path, "a.png", "one")], [entry(tmp_path, "b.png", "two")])


@pytest.mark.parametrize(
    ("name", "content", "case", "message"),
    [
        ("a.png", "one", "2", r"a\.png"),
        ("b.png", "one", "2", r"a\.png \(the same as .*b\.png\)"),
        ("b.png", "two", "1", "case 1"),
    ],
)
def test_a_shared_image_copy_or_case_is_named(
    tmp_path: Path, name: str, content: str, case: str, message: str
):
    training = [entry(tmp_path, "a.png", "one", case_id="1")]
    with pytest.raises(ValueError, match=message):
        check_separate(training, [entry(tmp_path, name, content, case_id=case)])


def test_a_limit_takes_whole_cases_first():
    entries = [{"image": str(n), "case_id": str(n // 3)} for n in range(12)]
    assert first_entries(entries, None, 0) == entries
    chosen = first_entries(entries, 6, 0)
    assert len(chosen) == 6 and len({e["case_id"] for e in chosen}) == 2
    assert chosen == first_entries(entries, 6, 0) != first_entries(entries, 6, 1)
    with pytest.raises(ValueError, match=r"limit: expected at most 12.*found 13"):
        first_entries(entries, 13, 0)
