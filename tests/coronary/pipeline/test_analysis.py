"""One angiogram: sizes, what is shared with the networks alone, what comes from the file, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image

from monai_lora_sam.coronary.images import Angiogram, read_angiogram
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, StageNetworks, StageOutputs, shipped_stages
from monai_lora_sam.coronary.pipeline.inference import stages_postprocessing, stages_preprocessing
from monai_lora_sam.networks import AdaptedSegmenter


def test_probability_is_the_networks_own_on_an_image_of_its_size(network: AdaptedSegmenter, tmp_path: Path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (56, 56), dtype=np.uint8)).save(tmp_path / "a.png")
    angiogram = read_angiogram(tmp_path / "a.png")
    image = (torch.from_numpy(angiogram.pixels).expand(1, 3, 56, 56) - 0.5) / 0.5
    with torch.inference_mode():
        expected = network.eval()(image).sigmoid()[0, 0].numpy()
    found = CoronaryPipeline(network, refiner=None, device="cpu").probability(angiogram)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("inference", ["whole", "tiled"])
def test_results_have_the_images_own_size(network: AdaptedSegmenter, picture: Path, inference: str):
    result = CoronaryPipeline(network, inference=inference, device="cpu")(picture)  # type: ignore[arg-type]
    assert result.probability.shape == result.vessels.shape == (72, 54)
    assert result.probability.min() >= 0 and result.probability.max() <= 1
    assert result.report["image"]["height"] == 72 and result.report["image"]["width"] == 54


def test_tiles_agree_with_the_whole_where_there_is_one_tile(network: AdaptedSegmenter, tmp_path: Path):
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (56, 56), dtype=np.uint8)).save(tmp_path / "a.png")
    angiogram = read_angiogram(tmp_path / "a.png")
    whole, tiled = (
        CoronaryPipeline(network, inference=mode, refiner=None, device="cpu").probability(angiogram)
        for mode in ("whole", "tiled")
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_with_flip_the_map_of_a_mirrored_image_is_the_mirrored_map(network: AdaptedSegmenter, tmp_path: Path):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (56, 56), dtype=np.uint8)
    pipeline = CoronaryPipeline(network, flip=True, refiner=None, device="cpu")
    assert pipeline.settings["flip"] is True
    found = []
    for name, shown in (("a.png", pixels), ("b.png", pixels[:, ::-1])):
        Image.fromarray(np.ascontiguousarray(shown)).save(tmp_path / name)
        found.append(pipeline.probability(read_angiogram(tmp_path / name)))
    np.testing.assert_allclose(found[1], found[0][:, ::-1], atol=1e-5)
    once = CoronaryPipeline(network, refiner=None, device="cpu").probability(
        read_angiogram(tmp_path / "a.png")
    )
    assert not np.allclose(found[0], once, atol=1e-4)


def test_an_unknown_way_of_inference_is_refused(network: AdaptedSegmenter):
    with pytest.raises(ValueError, match="expected 'whole' or 'tiled', found 'half'"):
        CoronaryPipeline(network, inference="half")  # type: ignore[arg-type]


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
    networks = CoronaryPipeline(device="cpu").networks
    assert list(networks.stages) == list(shipped_stages())
    assert not any(p.requires_grad for p in networks.parameters())
    assert not any(network.training for network in networks.stages.values())


class Ideal(torch.nn.Module):
    """Stand in for the networks of a pipeline with given outputs."""

    def __init__(self, real: StageNetworks, outputs: StageOutputs) -> None:
        super().__init__()
        self.__dict__["real"], self.outputs = real, outputs
        self.views: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor, view: torch.Tensor) -> StageOutputs:
        self.views.append(view)
        return self.outputs

    def __getattr__(self, name: str):
        return getattr(self.__dict__["real"], name)


@pytest.fixture
def ideal(stages: SimpleNamespace, drawn: SimpleNamespace) -> CoronaryPipeline:
    """Return a pipeline whose networks say what is drawn, on images of 168 pixels."""
    pipeline = CoronaryPipeline(
        stages.vessels, stages.segments, stages.stenosis, refiner=None, device="cpu", pretrained=stages.base
    )
    encoder = pipeline.networks.stack.encoder
    encoder.image_size = 168
    pipeline.preprocessing = stages_preprocessing(encoder)
    pipeline.postprocessing = stages_postprocessing(pipeline.preprocessing, None, pipeline.score_threshold)
    pipeline.networks = Ideal(pipeline.networks, drawn.outputs)  # type: ignore[assignment]
    return pipeline


def angiogram(pixels: np.ndarray, spacing: float | None = None) -> Angiogram:
    return Angiogram(pixels, spacing, None, "", Path("drawn.png"), "catheter" if spacing else "")


@pytest.mark.parametrize("spacing", [None, 0.25])
def test_segments_and_lesions_of_a_drawn_vessel(
    ideal: CoronaryPipeline, drawn: SimpleNamespace, spacing: float | None
):
    result = ideal(angiogram(drawn.pixels, spacing))
    assert result.segments is not None and result.segments.dtype == np.uint8
    assert set(np.unique(result.segments)) == {0, 6, 7}
    assert ((result.segments > 0) == drawn.vessels).mean() > 0.999
    proximal, mid = result.report["segments"]
    assert (proximal["name"], proximal["syntax"], proximal["vessel"]) == ("6 LAD proximal", "6", "LAD")
    assert (proximal["cass"], mid["cass"]) == ("12 LAD proximal", "13 LAD mid")
    assert proximal["length_px"] == pytest.approx(112 - 8, abs=14)  # names change between pieces of 12 px
    assert mid["median_diameter_px"] == pytest.approx(12, abs=0.6)
    assert proximal["mld_px"] == pytest.approx(5, abs=0.5) and proximal["lesions"] == [1]
    assert proximal["rvd_px"] == pytest.approx(12, abs=0.6)
    assert mid["percent_diameter_stenosis"] == pytest.approx(0, abs=8) and mid["lesions"] == []
    assert proximal["distal_border_position_px"] == pytest.approx(mid["proximal_border_position_px"], abs=2)
    assert proximal["pieces"] == 1 and "minimum_diameter_px" not in proximal
    (lesion,) = result.report["lesions"]
    assert lesion["mld_position_px"] == pytest.approx(proximal["mld_position_px"], abs=2)
    assert lesion["segment"] == "6 LAD proximal" and lesion["measured_by"] == "contours"
    assert lesion["mld_px"] == pytest.approx(5, abs=0.5)
    assert lesion["rvd_px"] == pytest.approx(12, abs=0.6)
    assert lesion["percent_diameter_stenosis"] == pytest.approx(100 * (1 - 5 / 12), abs=5)
    assert lesion["percent_diameter_stenosis_network"] is None  # the card says nothing of its error
    assert lesion["mld_xy"] == pytest.approx([84, 80], abs=3)
    assert lesion["score"] == pytest.approx(0.9)
    assert lesion["box_xy"] == pytest.approx([65.5, 69.5, 102.5, 91.5])
    profile = lesion["profile"]
    assert min(value for value in profile["diameter_px"] if value) == pytest.approx(5, abs=0.5)
    assert profile["proximal_border_px"] < profile["mld_position_px"] < profile["distal_border_px"]
    assert ("mld_mm" in lesion) == ("length_mm" in proximal) == (spacing is not None)
    if spacing:
        assert lesion["mld_mm"] == pytest.approx(lesion["mld_px"] * spacing, abs=2e-3)
        known = {
            "source": "catheter",
            "pixel_spacing_mm": spacing,
            "method": "stated",
            "expected_error_percent": 10.0,
        }
        assert known.items() <= result.report["calibration"].items()
        low, high = lesion["mld_mm_interval"]
        assert low < lesion["mld_mm"] < high
    else:
        assert "calibration" not in result.report


def test_warnings_say_what_limits_the_figures(ideal: CoronaryPipeline, drawn: SimpleNamespace):
    drawn.outputs.lesions["score"][:] = 0.4
    drawn.outputs.lesions["percent_diameter_stenosis"][:] = 20.0
    card = ideal.networks.stack.record("stenosis").card
    card["metrics"] = {"val_percent_error": 8.0, "val_percent_error_of_constant": 15.5}
    text = " ".join(ideal(angiogram(drawn.pixels)).report["warnings"])
    for expected in ("Calibration is missing", "view angles are unknown", "Foreshortening is unknown"):
        assert expected in text
    assert "Low confidence: lesion 1 (score 0.40)." in text
    assert "Contours and network disagree on the %DS: lesion 1 (" in text and "and 20 %)" in text


def test_a_detection_off_the_vessels_has_no_figures(ideal: CoronaryPipeline, drawn: SimpleNamespace):
    drawn.outputs.lesions["boxes"][:] = torch.tensor([20.0, 120.0, 50.0, 150.0])
    (lesion,) = ideal(angiogram(drawn.pixels, 0.5)).report["lesions"]
    assert lesion["measured_by"] is None and lesion["segment"] is None
    assert (lesion["percent_diameter_stenosis"], lesion["mld_px"], lesion["mld_mm"]) == (None, None, None)
    assert "profile" not in lesion


def test_two_detections_of_one_lesion_are_one(ideal: CoronaryPipeline, drawn: SimpleNamespace):
    boxes = torch.tensor([[[66.0, 70.0, 90.0, 92.0], [78.0, 70.0, 103.0, 92.0]]])
    lesions = drawn.outputs.lesions
    lesions |= {name: lesions[name].repeat(1, 2) for name in lesions if name != "boxes"}
    lesions["boxes"], lesions["score"] = boxes, torch.tensor([[0.6, 0.8]])
    (lesion,) = ideal(angiogram(drawn.pixels)).report["lesions"]
    assert lesion["score"] == pytest.approx(0.8)


def test_without_the_graph_each_pixel_is_named_by_itself(ideal: CoronaryPipeline, drawn: SimpleNamespace):
    drawn.outputs.segments[0, 9, 78:82, 30:34] = 30.0  # a crumb of a diagonal inside the proximal LAD
    ideal.graph = False
    alone = ideal(angiogram(drawn.pixels)).segments
    ideal.graph = True
    joined = ideal(angiogram(drawn.pixels)).segments
    assert alone is not None and set(np.unique(alone)) == {0, 6, 7, 9}
    assert joined is not None and set(np.unique(joined)) == {0, 6, 7}


def test_an_image_without_vessels_has_no_segments_and_no_lesions(
    ideal: CoronaryPipeline, drawn: SimpleNamespace
):
    drawn.outputs.vessels[:] = -20.0
    drawn.outputs.lesions["score"][:] = 0.0
    report = ideal(angiogram(drawn.pixels)).report
    assert report["segments"] == [] and report["lesions"] == []
    assert "No vessel was found." in report["warnings"]


def test_view_and_spacing_given_by_hand(ideal: CoronaryPipeline, drawn: SimpleNamespace):
    result = ideal(angiogram(drawn.pixels), view=(-30.0, 20.0), pixel_spacing_mm=0.5)
    assert ideal.networks.views[-1].tolist() == [[-30.0, 20.0]]  # type: ignore[union-attr]
    assert result.report["image"]["view"] == {"primary_deg": -30.0, "secondary_deg": 20.0}
    known = {"source": "given by hand", "pixel_spacing_mm": 0.5, "method": "given by hand"}
    assert known.items() <= result.report["calibration"].items()
    ideal(angiogram(drawn.pixels))
    assert ideal.networks.views[-1].isnan().all()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"view": (200.0, 0.0)},
            r"vessel\.png: view: expected a primary angle within 180 degrees of 0, found 200",
        ),
        (
            {"view": (0.0, -95.0)},
            r"vessel\.png: view: expected a secondary angle within 90 degrees of 0, found -95",
        ),
        (
            {"pixel_spacing_mm": 0.0},
            r"vessel\.png: pixel spacing: expected 0.05 to 2 mm per pixel at the patient, found 0",
        ),
        (
            {"pixel_spacing_mm": float("nan")},
            "pixel spacing: expected 0.05 to 2 mm per pixel at the patient, found nan",
        ),
    ],
)
def test_angles_and_spacing_out_of_range(network: AdaptedSegmenter, picture: Path, given: dict, message: str):
    with pytest.raises(ValueError, match=message):
        CoronaryPipeline(network, device="cpu")(picture, **given)


@pytest.mark.parametrize("inference", ["whole", "tiled"])
def test_three_random_stages_on_an_image_of_another_size(
    stages: SimpleNamespace, picture: Path, inference: Literal["whole", "tiled"]
):
    pipeline = CoronaryPipeline(
        stages.vessels,
        stages.segments,
        stages.stenosis,
        inference=inference,
        score_threshold=0.0,
        device="cpu",
        pretrained=stages.base,
    )
    result = pipeline(picture)
    assert result.segments is not None and result.segments.shape == (72, 54)
    assert [row["stage"] for row in result.report["stages"]] == ["vessels", "segments", "stenosis"]
    assert {row["id"] for row in result.report["segments"]} == set(np.unique(result.segments)) - {0}
    for lesion in result.report["lesions"]:
        left, top, right, bottom = lesion["box_xy"]
        assert -0.5 <= left < right <= 53.5 and -0.5 <= top < bottom <= 71.5
    json.dumps(result.report, allow_nan=False)


def test_the_score_threshold_is_the_cards_or_given(stages: SimpleNamespace):
    folders = (stages.vessels, stages.segments, stages.stenosis)
    pipeline = CoronaryPipeline(*folders, device="cpu", pretrained=stages.base)
    assert pipeline.score_threshold == 0.3
    pipeline.networks.stack.record("stenosis").card["score_threshold"] = 0.45
    assert pipeline._score_threshold(None) == 0.45 and pipeline._score_threshold(0.1) == 0.1
    with pytest.raises(ValueError, match="score_threshold: expected 0 to 1, found 2"):
        pipeline._score_threshold(2.0)
