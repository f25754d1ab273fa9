"""The tasks over HTTP, as MONAI Label's own client and the page ask for them."""

from __future__ import annotations

import base64
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")

import nibabel
import SimpleITK as sitk
from monailabel.client import MONAILabelClient

from monai_lora_sam.images import read_colour_image
from monai_lora_sam.prompting import ObjectPrompt, segment_image

ENCODER = "medsam_lite"


@pytest.fixture
def client(server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server.url, tmpdir=str(tmp_path))


def mask_of(answer: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["mask"])))) > 0


def expected(server, alone, image: str, prompt: ObjectPrompt, network: str) -> np.ndarray:
    pixels = read_colour_image(server.studies / f"{image}.png").pixels
    return segment_image(alone.networks[network], pixels, [prompt])[0].mask


def test_the_tasks_are_offered(client) -> None:
    info = client.info()
    assert sorted(info["models"]) == ["click", "modality", "report", "segments", "stenosis", "vessels"]
    assert info["models"]["click"]["type"] == "deepgrow"  # OHIF offers points for it
    assert {ENCODER, "ct", "us/1"} <= set(info["models"]["click"]["config"]["network"])
    assert list(info["trainers"]) == ["adapter"]
    assert sorted(info["strategies"]) == ["random", "uncertainty"]


def test_a_click_by_monai_labels_client_equals_the_network_alone(client, server, alone) -> None:
    params = {"foreground": [[64, 48, 0]], "background": [[5, 5, 0]], "network": "us/1"}
    file, result = client.infer("click", "picture0", params)
    prompt = ObjectPrompt("object", points=((64, 48, 1), (5, 5, 0)))
    assert np.array_equal(
        np.asarray(Image.open(file)) > 0, expected(server, alone, "picture0", prompt, "us/1")
    )
    assert result["label_names"] == {"object": 1}
    assert result["network"] == "us/1"


def test_several_objects_have_a_value_each(client, server, alone) -> None:
    boxes = {"one": (10, 10, 60, 60), "two": (50, 30, 120, 90)}
    file, result = client.infer(
        "click", "picture1", {"objects": [{"name": name, "box": box} for name, box in boxes.items()]}
    )
    labels = np.asarray(Image.open(file))
    one, two = (expected(server, alone, "picture1", ObjectPrompt(n, b), ENCODER) for n, b in boxes.items())
    assert result["label_names"] == {"one": 1, "two": 2}
    assert np.array_equal(labels == 2, two)
    assert np.array_equal(labels == 1, one & ~two)


def test_the_adapter_of_a_modality_is_chosen(client) -> None:
    _, result = client.infer("modality", "picture0", {"roi": [10, 90, 10, 80, 0, 0], "modality": "US"})
    assert result["network"] == "us/1"


def test_a_result_in_the_form_of_ohif(client) -> None:
    file, _ = client.infer("click", "picture0", {"foreground": [[64, 48, 0]], "result_extension": ".nrrd"})
    assert sitk.ReadImage(file).GetSize() == (128, 96, 1)


def test_a_volume_is_segmented_slice_by_slice(client, server) -> None:
    values = np.random.default_rng(0).normal(100, 20, (40, 48, 5)).astype(np.float32)
    affine = np.diag([1.5, 1.5, 4.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(values, affine), server.studies / "volume.nii.gz")
    server.wait_for_image("volume")
    file, _ = client.infer("click", "volume", {"roi": [5, 30, 5, 40, 0, 4]})
    found = nibabel.load(file)
    assert found.shape == values.shape
    assert np.allclose(found.affine, affine)
    assert set(np.unique(found.get_fdata())) <= {0, 1}


def test_vessels_of_a_phantom_are_found(client, server) -> None:
    file, _ = client.infer("vessels", "phantom", {})
    found = np.asarray(Image.open(file)) > 0
    truth = np.load(server.studies.parent / "phantom_vessels.npy")
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.6


def test_stenoses_come_with_their_figures(client, server) -> None:
    file, result = client.infer("stenosis", "phantom", {})
    assert {"lesions", "calibration", "warnings"} <= set(result)
    for row in result["lesions"]:
        assert {"box_xy", "score", "percent_diameter_stenosis"} <= set(row)
    assert np.asarray(Image.open(file)).shape == (512, 512)
    _, report = client.infer("report", "phantom", {})
    assert report["report"]["schema"].startswith("monai-lora-sam/report/")
    assert [row["box_xy"] for row in report["report"]["lesions"]] == [
        row["box_xy"] for row in result["lesions"]
    ]


def test_sessions_of_the_page_refine_their_own_masks(server, alone) -> None:
    opened = [server.ask("POST", "/angiograms/api/sessions", {"image": "picture2"}).json() for _ in range(2)]
    mine, yours = (f"/angiograms/api/sessions/{one['session']}/click" for one in opened)
    first = {"name": "a", "points": [[64, 48, 1]]}
    second = {"name": "a", "points": [[64, 48, 1], [10, 10, 0]]}
    assert not server.ask("POST", mine, first).json()["refined"]
    assert not server.ask("POST", yours, second).json()["refined"]
    answer = server.ask("POST", mine, second).json()
    assert answer["refined"] and not answer["encoded"]
    back = server.ask("POST", mine, first).json()
    prompt = ObjectPrompt("a", points=((64, 48, 1),))
    assert np.array_equal(mask_of(back), expected(server, alone, "picture2", prompt, ENCODER))


def test_an_adapter_that_is_added_is_offered_and_answers(server, save_adapter) -> None:
    save_adapter(server.studies / "adapters" / "mr", "mr", 9, modality="MR")
    names = [one["name"] for one in server.ask("GET", "/angiograms/api/networks").json()]
    assert "mr" in names
    session = server.ask("POST", "/angiograms/api/sessions", {"image": "picture0"}).json()["session"]
    body = {"points": [[64, 48, 1]], "network": "mr"}
    assert server.ask("POST", f"/angiograms/api/sessions/{session}/click", body).status_code == 200


def test_users_with_other_adapters_at_once_get_right_masks(server, alone) -> None:
    """Eight clients, each with its own image, adapter and prompts: no wrong mask, no error of the server."""
    networks = list(alone.networks)
    jobs = []
    for number in range(8):
        image, network = f"picture{number % 6}", networks[number % 3]
        box = (5.0 + number, 8.0, 70.0 + 3 * number, 80.0)
        prompt = ObjectPrompt("a", box)
        jobs.append((image, network, box, expected(server, alone, image, prompt, network)))

    def work(job) -> int:
        image, network, box, mask = job
        session = server.ask("POST", "/angiograms/api/sessions", {"image": image}).json()["session"]
        wrong = 0
        for _ in range(10):
            body = {"name": "a", "box": box, "network": network}
            answer = server.ask("POST", f"/angiograms/api/sessions/{session}/click", body)
            wrong += answer.status_code != 200 or not np.array_equal(mask_of(answer.json()), mask)
        return wrong

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, jobs)) == [0] * 8


def test_an_inference_holds_up_nobody(server) -> None:
    """MONAI Label's own endpoint is a coroutine with a synchronous body, which blocks every other request."""
    done = threading.Event()

    def analyse() -> None:
        server.ask("POST", "/infer/report?image=phantom&output=json", None)
        done.set()

    thread = threading.Thread(target=analyse)
    thread.start()
    time.sleep(0.05)
    answered = 0
    while not done.is_set():
        assert server.ask("GET", "/angiograms/api/networks").status_code == 200
        answered += 1
    thread.join()
    assert answered > 1


def test_the_next_image_has_no_label(client) -> None:
    for strategy in ("random", "uncertainty"):
        found = client.next_sample(strategy, {})
        assert found["id"] in client.datastore()["objects"]


def test_a_label_of_monai_labels_client_is_kept(client, server, tmp_path: Path) -> None:
    Image.fromarray(np.full((96, 128), 1, np.uint8)).save(tmp_path / "label.png")
    client.save_label("picture5", str(tmp_path / "label.png"), "final", {"label_names": {"liver": 1}})
    found = server.ask("GET", "/angiograms/api/label?image=picture5").json()
    assert [one["name"] for one in found["objects"]] == ["liver"]
    assert mask_of(found["objects"][0]).all()
