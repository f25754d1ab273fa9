"""A folder of images and labels that no request can lead out of, and that a killed server leaves whole."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore, LocalDatastoreModel
from monailabel.interfaces.exception import ImageNotFoundException

from label_app.errors import Conflict, Refused
from monai_lora_sam.files import atomic_file, atomic_write

logger = logging.getLogger(__name__)

#: Further endings that the readers of this project take, besides those of MONAI Label's settings.
EXTENSIONS = ("*.jpeg", "*.tiff", "*.dcm")
#: A tag names a folder below `labels/`.
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
CONFIG = "datastore_v2.json"
#: Tag of labels that a user has accepted.
FINAL = "final"


class SafeDatastore(LocalDatastore):
    """Keep MONAI Label's local datastore inside its folder, and write each of its files whole or not at all.

    Args:
        folder: of the images; labels are in `labels/TAG` below it.
        extensions: patterns of file names that are images.
        auto_reload: look for files that others add.
        read_only: leave the record of the folder as it is.
    """

    def __init__(
        self, folder: str, extensions: Sequence[str], auto_reload: bool = False, read_only: bool = False
    ) -> None:
        self._writing = RLock()
        self.folder = Path(folder).resolve()
        _set_aside_damaged(self.folder / CONFIG)
        super().__init__(
            str(self.folder), extensions=list(extensions), auto_reload=auto_reload, read_only=read_only
        )

    # ---- reading -------------------------------------------------------------------------------------------

    def get_image_uri(self, image_id: str) -> str:
        """Return the path of an image.

        Raises:
            ImageNotFoundException: no such image, its file is gone, or it is a link that leads out of the folder.
        """
        found = self._datastore.objects.get(image_id)
        if found is None:
            raise ImageNotFoundException(f"expected an image of the datastore, found {image_id!r:.200}")
        path = (self.folder / self._filename(image_id, found.image.ext)).resolve()
        if not path.is_relative_to(self.folder):
            raise ImageNotFoundException(
                f"expected an image inside the studies, found a link out of them: {image_id}"
            )
        if not path.exists():
            raise ImageNotFoundException(f"expected the image {image_id}, found that its file was removed")
        return str(path)

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Return the path of a label, or "" where there is none."""
        found = self._datastore.label(label_id, label_tag)
        if found is None:
            return ""
        path = (self._tag_folder(label_tag) / self._filename(label_id, found.ext)).resolve()
        if not path.is_relative_to(self.folder):
            raise Refused(f"expected a label inside the studies, found a link out of them: {label_id}")
        return str(path) if path.is_file() else ""

    def list_images(self) -> list[str]:
        return list(self._datastore.objects)

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        return [image for image, entry in list(self._datastore.objects.items()) if entry.labels.get(FINAL)]

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Return the images without a final label, but for those that cannot be opened."""
        entries = list(self._datastore.objects.items())
        return [image for image, entry in entries if not entry.labels.get(FINAL) and self._opens(image)]

    def _opens(self, image_id: str) -> bool:
        try:
            return bool(self.get_image_uri(image_id))
        except ImageNotFoundException:
            return False

    def status(self) -> dict[str, Any]:
        with self._writing:
            return super().status()

    def json(self) -> dict[str, Any]:
        with self._writing:
            return super().json()

    def label_version(self, image_id: str, tag: str) -> str:
        """Return a text that changes whenever the label of an image is written; "" without a label."""
        uri = self.get_label_uri(image_id, tag)
        if not uri:
            return ""
        facts = os.stat(uri)
        return f"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"

    # ---- writing -------------------------------------------------------------------------------------------

    def add_image(self, image_id: str, image_filename: str, image_info: Mapping[str, Any] | None) -> str:
        """Copy a file into the datastore under an id that is a plain name and not taken."""
        own_id, extension = self._to_id(os.path.basename(image_filename))
        image_id = image_id or own_id
        name = self._filename(image_id, extension)
        patterns = {pattern.removeprefix("*") for pattern in self._extensions}
        if not _is_plain(name) or extension not in patterns:
            raise Refused(
                f"expected a plain name with one of the endings {sorted(patterns)}, found {name!r:.200}"
            )
        with self._writing, FileLock(self._lock_file):
            if image_id in self._datastore.objects:
                raise Conflict(f"expected a new image, found that {image_id} exists")
            with atomic_file(self.folder / name) as temporary:
                temporary.write_bytes(Path(image_filename).read_bytes())
            info = {**(image_info or {}), "ts": int(time.time()), "name": name}
            added = ImageLabelModel(image=DataModel(info=info, ext=extension))
            self._datastore.objects = {
                **self._datastore.objects,
                image_id: added,
            }  # other threads read meanwhile
            self._update_datastore_file(lock=False)
        return image_id

    def save_label(
        self,
        image_id: str,
        label_filename: str,
        label_tag: str,
        label_info: Mapping[str, Any] | None,
        expected_version: str | None = None,
    ) -> str:
        """Save a label; it replaces the last one in one step.

        Args:
            image_id: of its image.
            label_filename: a file with the label.
            label_tag: a plain name, such as ``final``.
            label_info: kept beside it.
            expected_version: of the label that it replaces, from :meth:`label_version`; None replaces any.

        Raises:
            ImageNotFoundException: no such image.
            Conflict: another version is there now; nothing was written.
            Refused: a tag that is no plain name.
        """
        self.get_image_uri(image_id)
        folder = self._tag_folder(label_tag)
        _, extension = self._to_id(os.path.basename(label_filename))
        name = self._filename(image_id, extension)
        content = Path(label_filename).read_bytes()
        with self._writing:
            self._init_from_datastore_file()  # another process may have written
            with FileLock(self._lock_file):
                found = self.label_version(image_id, label_tag)
                if expected_version not in (None, found):
                    raise Conflict(
                        f"{image_id}: expected the label as it was opened, found that it was saved meanwhile"
                    )
                entry = self._datastore.objects[image_id]
                before = entry.labels.get(label_tag)
                atomic_write(folder / name, content)
                if before is not None and before.ext != extension:
                    (folder / self._filename(image_id, before.ext)).unlink(missing_ok=True)
                info = {**(label_info or {}), "ts": int(time.time()), "name": name}
                entry.labels[label_tag] = DataModel(info=info, ext=extension)
                self._update_datastore_file(lock=False)
        return image_id

    def _tag_folder(self, tag: str) -> Path:
        if not TAG.fullmatch(str(tag)):
            raise Refused(f"expected a tag of letters, digits, '-' and '_', found {tag!r:.200}")
        folder = self.folder / "labels" / tag
        if not folder.resolve().is_relative_to(self.folder):
            raise Refused(f"expected labels inside the studies, found a link out of them: {tag}")
        return folder

    def remove_label(self, label_id: str, label_tag: str) -> None:
        if not self.get_label_uri(label_id, label_tag):
            raise ImageNotFoundException(
                f"expected a label {label_tag!r:.80} of {label_id!r:.200}, found none"
            )
        super().remove_label(label_id, label_tag)

    def _update_datastore_file(self, lock: bool = True) -> None:
        if lock:
            with self._writing, FileLock(self._lock_file):
                self._update_datastore_file(lock=False)
            return
        self._ignore_event_config = True
        content = self._datastore.model_dump(exclude={"base_path"})
        atomic_write(self._datastore_config_path, json.dumps(content, indent=2, default=str))
        self._config_ts = os.stat(self._datastore_config_path).st_mtime

    def _reconcile_datastore(self) -> None:
        with self._writing:
            super()._reconcile_datastore()

    def _list_files(self, path: str, patterns: Sequence[str]) -> dict[str, str]:
        """Return the files that fit, without hidden ones such as those that are being written."""
        return {n: file for n, file in super()._list_files(path, patterns).items() if not n.startswith(".")}

    def _remove_non_existing(self) -> int:
        """Forget images and labels whose files are gone, in one step: other threads read meanwhile."""
        self._init_from_datastore_file()
        kept, gone = {}, 0
        for image_id, entry in self._datastore.objects.items():
            if not (self.folder / self._filename(image_id, entry.image.ext)).exists():
                gone += 1
                continue
            labels = {
                tag: label
                for tag, label in entry.labels.items()
                if (self.folder / "labels" / tag / self._filename(image_id, label.ext)).exists()
            }
            gone += len(entry.labels) - len(labels)
            kept[image_id] = ImageLabelModel(image=entry.image, labels=labels)
        self._datastore.objects = kept
        return gone


def _is_plain(name: str) -> bool:
    return (
        name == os.path.basename(name) and not name.startswith(".") and "\0" not in name and "\\" not in name
    )


def _set_aside_damaged(config: Path) -> None:
    """Move a record that cannot be read aside: the datastore makes a new one from images and labels."""
    if not config.is_file():
        return
    try:
        LocalDatastoreModel.model_validate_json(config.read_text(encoding="utf-8"))
    except ValueError as error:
        aside = config.with_name(f"{config.name}.damaged")
        logger.error("%s: cannot be read (%s); moved to %s and made again", config, error, aside)
        os.replace(config, aside)
