"""Images in folders, COSMOS and DICOM trees, listed in one Parquet file."""

from __future__ import annotations

import hashlib
import importlib
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app
from monai_lora_sam.index import ImageIndex, IndexedImage, find_images, index_images, write_index

write_module = importlib.import_module(
    "monai_lora_sam.index.write_index"
)  # the room offers its function by this name
pandas = pytest.importorskip("pandas")
parquet = pytest.importorskip("pyarrow.parquet")


def _picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 9), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_each_image_is_listed_with_size_and_hash(tmp_path: Path, write_dicom: Callable[..., Path]):
    plain = [_picture(tmp_path / "study" / name, n) for n, name in enumerate(("b.png", "a/c.jpg", "z/d.tif"))]
    dicom = write_dicom(np.zeros((4, 4), np.uint8), name="frame.dcm")
    dicom = dicom.rename(tmp_path / "study" / "z" / "IM0001")  # as archives name them
    for name in ("notes.txt", "DICOMDIR", ".hidden.png"):
        (tmp_path / "study" / name).write_bytes(dicom.read_bytes() if name == "DICOMDIR" else b"text")
    summary = index_images([tmp_path / "study"], tmp_path / "index.parquet")
    rows = pandas.read_parquet(tmp_path / "index.parquet")  # a peer reads it
    assert list(rows.columns) == ["id", "path", "size", "hash"]
    assert list(rows["id"]) == ["a/c.jpg", "b.png", "z/IM0001", "z/d.tif"]
    assert list(rows["path"]) == [f"study/{name}" for name in rows["id"]]
    for path in (*plain, dicom):
        row = rows[rows["path"] == path.relative_to(tmp_path).as_posix()].iloc[0]
        assert row["hash"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["size"] == path.stat().st_size
    assert (summary.images, summary.left_out, summary.unreadable) == (4, 2, 0)
    assert summary.bytes == rows["size"].sum()


def test_of_cosmos_the_images_alone_are_listed(tmp_path: Path):
    root = tmp_path / "COSMOS"
    (root / "data_infor_json").mkdir(parents=True)
    for part in ("images", "labels"):
        for number in range(2):
            _picture(root / "test_data" / "31_Kidney" / part / f"{number}.png")
    assert [image.id for image in find_images([root])] == [
        f"test_data/31_Kidney/images/{number}.png" for number in range(2)
    ]


def test_an_index_elsewhere_has_absolute_paths_and_several_sources_their_names(tmp_path: Path):
    first, second = _picture(tmp_path / "a" / "1.png"), _picture(tmp_path / "b" / "1.png")
    index_images([tmp_path / "a", tmp_path / "b"], tmp_path / "lists" / "index.parquet")
    index = ImageIndex(tmp_path / "lists" / "index.parquet")
    assert [(row.id, row.path) for row in index.rows(0, 2)] == [
        ("a/1.png", str(first)),
        ("b/1.png", str(second)),
    ]


def test_rows_across_groups_are_those_that_were_written(tmp_path: Path):
    rows = [IndexedImage(f"{n}", str(tmp_path / f"{n}.png"), n, f"{n:064x}") for n in range(20_000)]
    index = ImageIndex(write_index(tmp_path / "index.parquet", iter(rows)))
    assert len(index) == 20_000
    for start, stop in ((0, 3), (8190, 8195), (8192, 16_384), (100, 19_999), (19_999, 20_000)):
        assert index.rows(start, stop) == rows[start:stop]
    with pytest.raises(IndexError, match="expected rows of 0 to 20000, found 19999 to 20001"):
        index.rows(19_999, 20_001)


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(write_module, "ROWS_AT_ONCE", 256)

    def peak(count: int) -> int:
        def entries() -> Iterator[IndexedImage]:
            for number in range(count):
                yield IndexedImage(f"image {number}", f"/data/{number}.png", number, f"{number:064x}")

        tracemalloc.start()
        write_index(tmp_path / "index.parquet", entries())
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(16_000) < 1.2 * peak(2_000)


def test_a_file_that_cannot_be_read_stays_in_the_index_and_the_command_fails(tmp_path: Path):
    _picture(tmp_path / "study" / "a.png")
    os.symlink(tmp_path / "gone.png", tmp_path / "study" / "b.png")
    os.symlink(tmp_path, tmp_path / "study" / "loop")
    result = CliRunner().invoke(
        app, ["prepare", "index", str(tmp_path / "study"), "--out", str(tmp_path / "index.parquet")]
    )
    assert result.exit_code == 1
    assert "2 images" in result.output and "b.png: expected a file that can be read" in result.output
    assert "loop: a link to a folder: name it as a source" in result.output
    rows = ImageIndex(tmp_path / "index.parquet").rows(0, 2)
    assert [(row.id, row.size is None, row.hash is None) for row in rows] == [
        ("a.png", False, False),
        ("b.png", True, True),
    ]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["none"], "none: expected a file or a folder of images, found nothing"),
        (["empty"], "empty: expected images, found none"),
        (["a", "a/inner"], "a/inner: expected folders apart from each other"),
        (["a/inner", "b/inner"], "b/inner: expected sources of different names"),
    ],
)
def test_wrong_sources_are_refused(tmp_path: Path, sources: list[str], message: str):
    for folder in ("empty", "a/inner", "b/inner"):
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        index_images([tmp_path / source for source in sources], tmp_path / "index.parquet")
    assert not list(tmp_path.glob("*index*"))


def test_wrong_indices_are_refused(tmp_path: Path):
    path = tmp_path / "index.parquet"
    with pytest.raises(FileNotFoundError, match=r"index.parquet: expected an index .*, found nothing"):
        ImageIndex(path)
    path.write_text("no parquet")
    with pytest.raises(
        ValueError, match=r"index.parquet: expected an index in Parquet, found a damaged file"
    ):
        ImageIndex(path)
    pandas.DataFrame({"id": ["a"], "path": [3], "size": [1], "hash": ["x"]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"index.parquet: expected the columns .*, found "):
        ImageIndex(path)
    write_index(path, [])
    with pytest.raises(ValueError, match=r"index.parquet: expected images, found an index without rows"):
        ImageIndex(path)
