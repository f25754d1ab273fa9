"""Labels are written whole, by one writer at a time, and nothing leads out of the folder."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")

from label_app.datastore import SafeDatastore
from label_app.errors import Conflict, Refused
from monailabel.interfaces.exception import ImageNotFoundException

PATTERNS = ["*.png", "*.nii.gz"]


@pytest.fixture
def store(tmp_path: Path) -> SafeDatastore:
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").write_bytes(b"picture")
    return SafeDatastore(str(folder), PATTERNS)


@pytest.fixture
def label(tmp_path: Path) -> Path:
    (tmp_path / "label.png").write_bytes(b"label")
    return tmp_path / "label.png"


def test_a_label_is_found_again_by_the_next_server(store, label) -> None:
    store.save_label("a", str(label), "final", {"label_names": {"vessel": 1}})
    again = SafeDatastore(str(store.folder), PATTERNS)
    assert again.get_labeled_images() == ["a"]
    assert again.get_unlabeled_images() == ["b"]
    assert Path(again.get_label_uri("a", "final")).read_bytes() == b"label"
    assert again.get_label_info("a", "final")["label_names"] == {"vessel": 1}


def test_of_two_writers_the_second_is_told_and_nothing_is_lost(store, label) -> None:
    first = store.label_version("a", "final")
    store.save_label("a", str(label), "final", {}, expected_version=first)
    label.write_bytes(b"other")
    with pytest.raises(Conflict, match="saved meanwhile"):
        store.save_label("a", str(label), "final", {}, expected_version=first)
    assert Path(store.get_label_uri("a", "final")).read_bytes() == b"label"
    store.save_label("a", str(label), "final", {}, expected_version=store.label_version("a", "final"))
    assert Path(store.get_label_uri("a", "final")).read_bytes() == b"other"


def test_many_writers_leave_one_whole_label_each(store, tmp_path: Path) -> None:
    def write(number: int) -> None:
        path = tmp_path / f"{number}.png"
        path.write_bytes(bytes([number]) * 50_000)
        store.save_label("ab"[number % 2], str(path), "final", {"number": number})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(24)))
    for image in "ab":
        content = Path(store.get_label_uri(image, "final")).read_bytes()
        assert len(content) == 50_000 and len(set(content)) == 1
        assert store.get_label_info(image, "final")["number"] == content[0]
    assert json.loads((store.folder / "datastore_v2.json").read_text())["objects"].keys() == {"a", "b"}


def test_a_record_cut_off_by_a_kill_is_made_again(store, label) -> None:
    store.save_label("a", str(label), "final", {})
    record = store.folder / "datastore_v2.json"
    record.write_text(record.read_text()[:40])
    again = SafeDatastore(str(store.folder), PATTERNS)
    assert again.get_labeled_images() == ["a"]
    assert (store.folder / "datastore_v2.json.damaged").is_file()


def test_files_of_a_killed_writer_are_no_labels(store) -> None:
    (store.folder / "labels" / "final" / ".writing-0123-1.png").write_bytes(b"half")
    (store.folder / ".writing-0123-1.png").write_bytes(b"half")
    store.refresh()
    assert sorted(store.list_images()) == ["a", "b"]
    assert store.get_labeled_images() == []


@pytest.mark.parametrize("tag", ["../../out", "/tmp/out", "a/b", "", ".", "..", "a\0b", "%2e%2e", "x" * 65])
def test_a_tag_is_a_plain_name(store, label, tag: str) -> None:
    with pytest.raises(Refused, match="expected a tag"):
        store.save_label("a", str(label), tag, {})


@pytest.mark.parametrize("image", ["../a", "/etc/passwd", "", "a.png", "b/../a", "c"])
def test_an_unknown_image_is_not_found(store, label, image: str) -> None:
    with pytest.raises(ImageNotFoundException):
        store.get_image_uri(image)
    with pytest.raises(ImageNotFoundException):
        store.save_label(image, str(label), "final", {})


@pytest.mark.parametrize("name", ["../b.png", "/tmp/b.png", ".b.png", "a\\b.png"])
def test_an_upload_has_a_plain_name(store, label, name: str) -> None:
    with pytest.raises(Refused, match="expected a plain name"):
        store.add_image(name.removesuffix(".png"), str(label), {})


def test_an_upload_replaces_nothing(store, label) -> None:
    with pytest.raises(Conflict, match="a exists"):
        store.add_image("a", str(label), {})
    assert store.add_image("c", str(label), {}) == "c"
    assert Path(store.get_image_uri("c")).read_bytes() == b"label"


def test_links_out_of_the_folder_are_refused(store, label, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (store.folder / "link.png").symlink_to(tmp_path / "secret.png")
    (store.folder / "labels" / "out").symlink_to(tmp_path)
    store.refresh()
    with pytest.raises(ImageNotFoundException, match="link out"):
        store.get_image_uri("link")
    with pytest.raises(Refused, match="link out"):
        store.save_label("a", str(label), "out", {})


def test_an_image_that_was_removed_is_not_found(store) -> None:
    (store.folder / "b.png").unlink()
    with pytest.raises(ImageNotFoundException, match="was removed"):
        store.get_image_uri("b")
    store.refresh()
    assert store.list_images() == ["a"]


def test_a_label_in_another_form_leaves_one(store, tmp_path: Path) -> None:
    for name in ("label.png", "label.nii.gz"):
        (tmp_path / name).write_bytes(b"label")
        store.save_label("a", str(tmp_path / name), "final", {})
    assert [path.name for path in (store.folder / "labels" / "final").iterdir()] == ["a.nii.gz"]
