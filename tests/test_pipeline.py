"""The pipeline on files: what it writes, at which size, and what it does with bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.networks import AdaptedSegmenter, build_segmenter
from monai_lora_sam.pipeline import CoronaryPipeline, find_images, run_files
from monai_lora_sam.stages import SHIPPED, load_stage
from monai_lora_sam.transforms import read_angiogram


@pytest.fixture(scope="module")
def network() -> AdaptedSegmenter:
    torch.manual_seed(0)
    return build_segmenter(build_encoder("tiny", image_size=84), mixed_precision=False)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A bright field with one dark vertical vessel, taller than wide."""
    pixels = np.full((120, 90), 180, np.uint8)
    pixels[10:110, 40:46] = 60
    path = tmp_path / "vessel.png"
    Image.fromarray(pixels).save(path)
    return path


def test_probability_is_the_networks_own_on_an_image_of_its_size(network: AdaptedSegmenter, tmp_path: Path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (84, 84), dtype=np.uint8)).save(tmp_path / "a.png")
    angiogram = read_angiogram(tmp_path / "a.png")
    image = (torch.from_numpy(angiogram.pixels).expand(1, 3, 84, 84) - 0.5) / 0.5
    with torch.inference_mode():
        expected = network.eval()(image).sigmoid()[0, 0].numpy()
    found = CoronaryPipeline(network, device="cpu").probability(angiogram)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("inference", ["whole", "tiled"])
def test_results_have_the_images_own_size(network: AdaptedSegmenter, picture: Path, inference: str):
    result = CoronaryPipeline(network, inference=inference, device="cpu")(picture)  # type: ignore[arg-type]
    assert result.probability.shape == result.vessels.shape == (120, 90)
    assert result.probability.min() >= 0 and result.probability.max() <= 1
    assert result.report["image"]["height"] == 120 and result.report["image"]["width"] == 90


def test_tiles_agree_with_the_whole_where_there_is_one_tile(network: AdaptedSegmenter, tmp_path: Path):
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (84, 84), dtype=np.uint8)).save(tmp_path / "a.png")
    angiogram = read_angiogram(tmp_path / "a.png")
    whole, tiled = (
        CoronaryPipeline(network, inference=mode, device="cpu").probability(angiogram) for mode in ("whole", "tiled")
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_an_unknown_way_of_inference_is_refused(network: AdaptedSegmenter):
    with pytest.raises(ValueError, match="expected 'whole' or 'tiled', found 'half'"):
        CoronaryPipeline(network, inference="half")  # type: ignore[arg-type]


def test_run_writes_every_file_at_the_images_size(network: AdaptedSegmenter, picture: Path, tmp_path: Path):
    out = tmp_path / "out"
    outcomes = run_files([picture], out, CoronaryPipeline(network, device="cpu"))
    assert outcomes == [(picture, None)]
    folder = out / "vessel"
    assert {p.name for p in folder.iterdir()} == {
        "vessels.png",
        "probability.npz",
        "report.json",
        "overlay.png",
        "report.html",
    }
    mask = np.asarray(Image.open(folder / "vessels.png"))
    assert mask.shape == (120, 90) and set(np.unique(mask)) <= {0, 255}
    probability = np.load(folder / "probability.npz")["vessels"]
    assert probability.shape == (120, 90)
    np.testing.assert_array_equal(mask > 0, probability >= 0.5)
    report = json.loads((folder / "report.json").read_text())
    assert report["vessels"]["area_px"] == int((mask > 0).sum())
    assert (out / "index.html").is_file()


def test_bad_files_are_listed_and_the_others_done(network: AdaptedSegmenter, picture: Path, tmp_path: Path):
    study = tmp_path / "study"
    study.mkdir()
    (study / "good.png").write_bytes(picture.read_bytes())
    (study / "half.png").write_bytes(picture.read_bytes()[:60])
    (study / "empty.jpg").touch()
    outcomes = dict(run_files([study], tmp_path / "out", CoronaryPipeline(network, device="cpu")))
    by_name = {path.name: error for path, error in outcomes.items()}
    assert by_name["good.png"] is None
    assert "half.png" in str(by_name["half.png"]) and "empty.jpg" in str(by_name["empty.jpg"])
    assert "half.png" in (tmp_path / "out" / "index.html").read_text()


def test_bad_files_of_one_name_are_all_listed(network: AdaptedSegmenter, tmp_path: Path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "frame.png").write_bytes(b"not an image")
    run_files(
        [tmp_path / "first", tmp_path / "second"], tmp_path / "out", CoronaryPipeline(network, device="cpu")
    )
    assert "2 failed" in (tmp_path / "out" / "index.html").read_text()


def test_spacing_and_view_come_from_dicom(network: AdaptedSegmenter, tmp_path: Path):
    path = tmp_path / "frame.dcm"
    image = sitk.GetImageFromArray(np.full((64, 64), 100, np.uint8))
    image.SetSpacing((0.2, 0.2))  # what the writer puts into Imager Pixel Spacing
    for tag, value in {
        "0008|0060": "XA",
        "0018|1110": "1000",
        "0018|1111": "750",
        "0018|1510": "-30",
        "0018|1511": "20",
    }.items():
        image.SetMetaData(tag, value)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    writer.Execute(image)
    report = CoronaryPipeline(network, device="cpu")(path).report
    assert report["image"]["pixel_spacing_mm"] == pytest.approx(0.2 * 750 / 1000)
    assert report["image"]["view"] == {"primary_deg": -30.0, "secondary_deg": 20.0}


def test_equal_stems_get_folders_of_their_own(tmp_path: Path, picture: Path):
    for name in ("a/frame.png", "b/frame.png", "b/frame.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.read_bytes())
    names = [name for _, name in find_images([tmp_path / "in"])]
    assert len(set(names)) == 3


def test_an_image_given_twice_is_run_once(picture: Path):
    assert len(find_images([picture, picture.parent])) == 1


def test_missing_inputs_are_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        find_images([tmp_path / "nowhere.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="expected images"):
        find_images([tmp_path / "empty"])


def test_the_shipped_stage_finds_vessels_in_a_real_angiogram(shared_data: Path):
    """Far below its score over the whole split, far above what a mask of chance gives."""
    split = shared_data / "arcade" / "syntax" / "val"
    pipeline = CoronaryPipeline(device="cpu")
    annotations = json.loads((split / "annotations" / "val.json").read_text())
    from skimage.draw import polygon2mask

    scores = []
    for image in annotations["images"][:4]:
        truth = np.zeros((image["height"], image["width"]), bool)
        for item in annotations["annotations"]:
            if item["image_id"] == image["id"]:
                xy = np.reshape(item["segmentation"][0], (-1, 2))
                truth |= polygon2mask(truth.shape, xy[:, ::-1])
        found = pipeline(split / "images" / image["file_name"]).vessels
        scores.append(2 * (truth & found).sum() / (truth.sum() + found.sum()))
    assert np.mean(scores) > 0.6


def test_the_shipped_stages_load_on_the_shipped_base():
    for folder in sorted(SHIPPED.iterdir()):
        network = load_stage(folder)
        assert not any(p.requires_grad for p in network.parameters())
        assert not network.training
