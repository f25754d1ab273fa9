"""A base, stages and a few small pictures on which each bundle trains in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.utils import set_determinism
from PIL import Image

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.data import read_datalist, write_datalist
from monai_lora_sam.encoders import build_encoder, save_encoder
from monai_lora_sam.stages import new_stage, save_stage
from monai_lora_sam.workflows import bundle_folder, run_bundle

Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Add up in one order, as the processes of their own do, and leave the generators unseeded for other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    set_determinism(None)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny encoder with random weights."""
    folder = tmp_path_factory.mktemp("base")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_encoder(build_encoder("tiny", image_size=56), folder)
    return folder


def draw_pictures(folder: Path, training: int, validation: int) -> Path:
    """Write pictures with a dark oblique vessel each, some of them with a view; return the folder."""
    rng = np.random.default_rng(0)
    entries = []
    for index in range(training + validation):
        height, width = (64, 64) if index % 2 else (70, 60)
        rows, columns = np.mgrid[:height, :width]
        angle = rng.uniform(0, np.pi)
        distance = (rows - height / 2) * np.cos(angle) + (columns - width / 2) * np.sin(angle)
        mask = np.abs(distance) < 3
        pixels = np.where(mask, 70, 180) + rng.normal(0, 8, mask.shape)
        image, label = folder / f"{index}.png", folder / f"{index}_label.png"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(image)
        Image.fromarray(mask.astype(np.uint8)).save(label)
        view = [30.0, -20.0] if index % 2 else None
        entries.append({"image": str(image), "label": str(label), "case_id": str(index), "view": view})
    write_datalist(
        folder / "datalist.json",
        name="lines",
        task="vessels",
        class_names=["background", "vessel"],
        splits={"training": entries[:training], "validation": entries[training:]},
    )
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw four pictures to train on and three, an odd number, to validate on."""
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 4, 3)


@pytest.fixture(scope="session")
def settings(base: Path, pictures: Path) -> Callable[..., dict[str, Any]]:
    """Return overrides that make a run of the bundle small; more of them may be given."""

    def make(output: Path, **more: Any) -> dict[str, Any]:
        return {
            "dataset_dir": str(pictures),
            "output_dir": str(output),
            "encoder_name": "tiny",
            "pretrained": str(base),
            "image_size": 56,
            "head_width": 8,
            "lora#r": 2,
            "epochs": 2,
            "batch_size": 2,
            "learning_rate": 0.01,
            "mixed_precision": False,
            "show_progress": False,
            "device": "cpu",
        } | more

    return make


@pytest.fixture(scope="session")
def named_pictures(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name the vessel of each picture: 6 on its left, 7 on its right."""
    folder = tmp_path_factory.mktemp("named")
    content = read_datalist(pictures / "datalist.json")
    for split in ("training", "validation"):
        for entry in content[split]:
            mask = np.asarray(Image.open(entry["label"]))
            left = np.arange(mask.shape[1]) < mask.shape[1] / 2
            entry["label"] = str(folder / Path(entry["label"]).name)
            Image.fromarray((mask * np.where(left, 6, 7)).astype(np.uint8)).save(entry["label"])
    write_datalist(
        folder / "datalist.json",
        name="named lines",
        task="segments",
        class_names=ARCADE_CLASS_NAMES,
        splits={split: content[split] for split in ("training", "validation")},
    )
    return folder


@pytest.fixture(scope="session")
def narrowed_pictures(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give each vessel a lesion in the picture's middle; every second one has no %DS and MLD, as in ARCADE."""
    folder = tmp_path_factory.mktemp("narrowed")
    content = read_datalist(pictures / "datalist.json")
    for split in ("training", "validation"):
        for index, entry in enumerate(content[split]):
            box = [18.0, 16.0, 44.0, 40.0]
            known = {"centre_xy": [30.0, 29.0], "percent_diameter_stenosis": 55.0, "mld_px": 2.5}
            lesion = {"category": "stenosis", "box_xyxy": box}
            entry["lesions"] = [lesion | known] if index % 2 == 0 else [lesion | dict.fromkeys(known)]
    content["training"][-1]["lesions"] = []
    write_datalist(
        folder / "datalist.json",
        name="narrowed lines",
        task="stenosis",
        class_names=["background", "stenosis"],
        splits={split: content[split] for split in ("training", "validation")},
    )
    return folder


def random_stages(folder: Path, base: Path, seed: int = 0) -> dict[str, str]:
    """Write a stage 1 and a stage 2 on it with random adapters and heads."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made: dict[str, str] = {}
        for name, maps in (("vessels", 1), ("segments", 26)):
            below = list(made.values())
            stage = new_stage(
                build_encoder("tiny", base, 56),
                parents=below,
                head="view_segmentation",
                out_channels=maps,
                name=name,
                width=8,
                lora={"r": 2},
                mixed_precision=False,
            )
            for key, parameter in stage.stack.named_parameters():
                if "lora_B" in key and parameter.requires_grad:
                    torch.nn.init.normal_(parameter, std=0.05)
            classes = [str(index) for index in range(maps)]
            made[name] = str(save_stage(stage, folder / name, task=name, class_names=classes))
    return made


@pytest.fixture(scope="session")
def write_random_stages() -> Callable[..., dict[str, str]]:
    return random_stages


@pytest.fixture(scope="session")
def below(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the folders of a random stage 1 and a random stage 2 on it."""
    return random_stages(tmp_path_factory.mktemp("below"), base)


#: Overrides that make the lumen networks small, by bundle.
SMALL_NETWORKS: dict[str, dict[str, Any]] = {
    "lumen_refinement": {"features": [4, 4, 4, 4, 4, 4], "crop_window": 96, "crop_side": 64},
    "lumen_diameter": {"features": [4, 4, 4], "along": 4, "crops_per_epoch": 16},
}


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give both lumen bundles one folder, so that the phantoms are drawn once."""
    return tmp_path_factory.mktemp("phantoms")


@pytest.fixture(scope="session")
def lumen_options(phantoms: Path) -> Settings:
    """Return overrides that train a lumen bundle on four phantoms; more of them may be given."""

    def make(bundle: str, output: Path, **more: Any) -> dict[str, Any]:
        common = {
            "dataset_dir": str(phantoms),
            "output_dir": str(output),
            "phantoms": 4,
            "held_out": 1,
            "phantom_seed": 5,
            "epochs": 2,
            "batch_size": 2,
            "learning_rate": 0.02,
            "warm_up": 0.0,
            "mixed_precision": False,
            "show_progress": False,
            "device": "cpu",
        }
        return common | SMALL_NETWORKS[bundle] | more

    return make


def distillation_options(output: Path, pictures: Path, promptable: Path) -> dict[str, Any]:
    """Return overrides that distil a small network into one of its kind for larger images."""
    return {
        "dataset_dir": str(pictures),
        "output_dir": str(output),
        "teacher_name": "mini",
        "teacher_weights": str(promptable),
        "student_weights": str(promptable),
        "teacher_image_size": 64,
        "image_size": 96,
        "epochs": 2,
        "batch_size": 2,
        "mixed_precision": False,
        "show_progress": False,
        "device": "cpu",
    }


def adapter_options(output: Path, pictures: Path, promptable: Path) -> dict[str, Any]:
    """Return overrides that train an adapter on the small promptable network."""
    return {
        "dataset_dir": str(pictures),
        "output_dir": str(output),
        "encoder_name": "mini",
        "pretrained": str(promptable),
        "image_size": 64,
        "lora#r": 2,
        "decoder_lora#r": 2,
        "prompts_per_image": 2,
        "epochs": 2,
        "batch_size": 2,
        "mixed_precision": False,
        "show_progress": False,
        "device": "cpu",
    }


def text_options(output: Path, pictures: Path, promptable: Path, sentence_encoder: Path) -> dict[str, Any]:
    """Return overrides that teach two words to the small promptable network."""
    return {
        "dataset_dir": str(pictures),
        "output_dir": str(output),
        "encoder_name": "mini",
        "pretrained": str(promptable),
        "image_size": 64,
        "text_encoder": str(sentence_encoder),
        "lora#r": 2,
        "text_lora#r": 2,
        "decoder": "lora",
        "decoder_lora#r": 2,
        "phrases_per_image": 2,
        "epochs": 2,
        "batch_size": 2,
        "mixed_precision": False,
        "show_progress": False,
        "device": "cpu",
    }


def reasoning_options(output: Path, pictures: Path, promptable: Path, language_model: Path) -> dict[str, Any]:
    """Return overrides that teach the small promptable network to answer two questions."""
    return {
        "dataset_dir": str(pictures),
        "output_dir": str(output),
        "encoder_name": "mini",
        "pretrained": str(promptable),
        "image_size": 64,
        "language_model": str(language_model),
        "language_precision": "float32",
        "language_lora#r": 2,
        "grid": 2,
        "decoder_lora#r": 2,
        "feature_cache": False,
        "questions_per_image": 2,
        "most_tokens": 12,
        "epochs": 2,
        "batch_size": 2,
        "mixed_precision": False,
        "show_progress": False,
        "device": "cpu",
    }


@pytest.fixture(scope="session")
def worded_pictures(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name the vessel of each picture, and a liver that none shows."""
    folder = tmp_path_factory.mktemp("pictures_in_words")
    content = read_datalist(pictures / "datalist.json")
    for split in ("training", "validation"):
        for entry in content[split]:
            entry["phrases"] = {"vessel": entry.pop("label"), "liver": None}
    write_datalist(
        folder / "datalist.json",
        name="lines in words",
        task="phrases",
        class_names=[],
        splits={split: content[split] for split in ("training", "validation")},
    )
    return folder


@pytest.fixture(scope="session")
def bundle_options(
    settings: Settings,
    lumen_options: Settings,
    named_pictures: Path,
    narrowed_pictures: Path,
    below: dict[str, str],
    pictures: Path,
    worded_pictures: Path,
    promptable: Path,
    sentence_encoder: Path,
    language_model: Path,
) -> Settings:
    """Return overrides that make the training of a bundle small; more of them may be given."""

    def make(bundle: str, output: Path, **more: Any) -> dict[str, Any]:
        if bundle in SMALL_NETWORKS:
            return lumen_options(bundle, output, **more)
        if bundle == "minisam_distillation":
            return distillation_options(output, pictures, promptable) | more
        if bundle == "modality_adapter":
            return adapter_options(output, pictures, promptable) | more
        if bundle == "text_adaptation":
            return text_options(output, worded_pictures, promptable, sentence_encoder) | more
        if bundle == "reasoning_segmentation":
            return reasoning_options(output, worded_pictures, promptable, language_model) | more
        if bundle == "segment_classification":
            return settings(output, dataset_dir=str(named_pictures), vessels=below["vessels"]) | more
        if bundle == "stenosis_detection":
            made = settings(output, dataset_dir=str(narrowed_pictures), **below)
            del made["lora#r"]
            return made | more
        return settings(output, **more)

    return make


@pytest.fixture(scope="session")
def train_bundle(bundle_options: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Train a bundle once, for a few epochs, and return its output folder."""

    @cache
    def train(bundle: str) -> Path:
        output = tmp_path_factory.mktemp(bundle)
        epochs = {"vessel_segmentation": 2, **dict.fromkeys(SMALL_NETWORKS, 6)}.get(bundle, 3)
        run_bundle(bundle, overrides=bundle_options(bundle, output, epochs=epochs))
        return output

    return train


@pytest.fixture(scope="session")
def bundle_command() -> Callable[..., list[str]]:
    """Return what a user types after ``python -m`` or ``torchrun -m``: ``monai.bundle run …``."""

    def make(bundle: str, files: Sequence[str], overrides: Mapping[str, Any]) -> list[str]:
        configs = [str(bundle_folder(bundle) / "configs" / name) for name in files]
        arguments = [f"--config_file={configs if len(configs) > 1 else configs[0]}"]
        arguments += [f"--{key}={value}" for key, value in overrides.items()]
        return ["monai.bundle", "run", *arguments]

    return make


@pytest.fixture(scope="session")
def messages() -> Callable[[BaseException | None], list[str]]:
    """Return a function that lists the messages of an error and of its causes."""

    def chain(error: BaseException | None) -> list[str]:
        found = []
        while error is not None:
            found.append(str(error))
            error = error.__cause__ or error.__context__
        return found

    return chain
