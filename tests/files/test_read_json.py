"""JSON that others wrote is read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_lora_sam.files import read_json_value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_text('{"name": "artère"}', encoding=encoding)
    assert read_json_value(tmp_path / "a.json", "a card") == {"name": "artère"}


@pytest.mark.parametrize("content", [b"", b"[", b'"\xe9"', b"[" * 100_000, b"1" * 5000])
def test_other_content_is_one_line_with_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.json: expected a card in JSON, found .*$") as caught:
        read_json_value(tmp_path / "a.json", "a card")
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.json: expected a card, found nothing"):
        read_json_value(tmp_path / "a.json", "a card")
    with pytest.raises(ValueError, match="expected a card in JSON, found Is a directory"):
        read_json_value(tmp_path, "a card")
