"""Keys of a command line against MONAI's own reading of them."""

from __future__ import annotations

from pathlib import Path

import fire
import pytest

from monai_lora_sam.cli.keys import bundle_and_keys, parse_keys, run_with_keys


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


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_bundle_may_stand_anywhere(place: int):
    words = [["--epochs", "8"], ["--seed=-3"]]
    words.insert(place, ["vessel_segmentation"])
    found = bundle_and_keys([word for group in words for word in group])
    assert found == ("vessel_segmentation", ["--epochs", "8", "--seed=-3"])


def test_a_missing_bundle_is_an_error():
    with pytest.raises(ValueError, match=r"expected the name of a bundle.*found none"):
        bundle_and_keys(["--epochs", "8"])


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
        run_with_keys(["vessel_segmentation", *keys], ["train.yaml"])
