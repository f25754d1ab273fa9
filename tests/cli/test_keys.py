"""Keys of a command line against MONAI's own reading of them."""

from __future__ import annotations

from pathlib import Path

import fire
import pytest

from monai_lora_sam.cli.keys import check_keys, parse_keys, run_with_keys
from monai_lora_sam.workflows import bundle_folder

CONFIGS = bundle_folder("vessel_segmentation") / "configs"
TRAIN = [CONFIGS / "train.yaml"]


@pytest.mark.parametrize(
    "text", ["8", "0.5", "True", "None", "[1, 2]", "{'a': 1}", "data/mine", "$1 + 1", "-3", "1e-3"]
)
def test_values_are_those_of_fire_which_monai_uses(text: str):
    expected = fire.Fire(lambda **keys: keys, command=["--key", text], serialize=lambda _: "")
    assert parse_keys(["--key", text]) == parse_keys([f"--key={text}"]) == expected


def test_the_words_of_all_commands_stand_for_keys():
    assert parse_keys(
        ["--batch", "2", "--out", "m", "--encoder", "sam3", "--weights", "w", "--image-size", "84"]
    ) == {
        "batch_size": 2,
        "output_dir": "m",
        "encoder_name": "sam3",
        "pretrained": "w",
        "image_size": 84,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["8"], "found '8' without a key"),
        (["--epochs"], "--epochs: expected a value"),
        (["--epochs", "--seed", "1"], "--epochs: expected a value"),
        (["--batch", "2", "--batch_size", "4"], "--batch_size: expected each key once"),
    ],
)
def test_half_a_key_is_an_error(arguments: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        parse_keys(arguments)


@pytest.mark.parametrize(
    "key",
    ["epochs", "lora::r", "lora::layers", "optimizer::betas", "train::trainer::max_epochs", "load::0::keys"],
)
def test_known_keys(key: str):
    check_keys({key: 1}, TRAIN)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("epoch", r"--epoch: expected a key of train.yaml, found 'epoch' \(nearest: --epochs\)"),
        ("lora::rank", r"--lora#rank: .*\(known: alpha, dropout, .* r, targets\)"),
        ("train::trainer::max_epoch", r"\(nearest: --train#trainer#max_epochs\)"),
        ("epochs::more", "found 'more'"),
        ("split", "found 'split'"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(key: str, message: str):
    with pytest.raises(ValueError, match=message):
        check_keys({key: 1}, TRAIN)


def test_the_keys_of_a_second_file_are_known():
    check_keys({"split": "test"}, [*TRAIN, CONFIGS / "evaluate.yaml"])


def test_an_error_inside_the_bundle_is_its_own_and_not_monais(tmp_path: Path):
    keys = [
        "--dataset_dir",
        str(tmp_path),
        "--out",
        str(tmp_path / "out"),
        "--pretrained",
        "False",
        "--image_size",
        "56",
    ]
    with pytest.raises(FileNotFoundError, match="expected a datalist, found nothing"):
        run_with_keys("vessel_segmentation", ["train.yaml"], keys)
