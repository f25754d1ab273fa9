"""Bad requests get a clear answer, and a killed server loses nothing."""

from __future__ import annotations

import base64
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")

from label_server import Server, write_picture

API = "/angiograms/api"


def mask_text(size: tuple[int, int] = (96, 128)) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.full((*size, 3), 255, np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def session(server) -> str:
    return server.ask("POST", f"{API}/sessions", {"image": "picture0"}).json()["session"]


OUTSIDE = [
    "/etc/passwd",
    "../secret",
    "..%2Fsecret",
    "%2e%2e/secret",
    "picture0/../../secret",
    "",
    "picture0\0",
    "nothing",
    "link",
    "studies/picture0.png",
    "labels/final/picture0",
]


@pytest.mark.parametrize("image", OUTSIDE)
def test_no_path_leads_out_of_the_studies(server, image: str) -> None:
    secret = server.studies.parent / "secret.png"
    if not secret.exists():
        write_picture(secret, 1)
        (server.studies / "link.png").symlink_to(secret)
        server.wait_for_image("link")
    answers = [
        server.ask("POST", f"{API}/sessions", {"image": image}),
        server.ask("GET", f"{API}/image", params={"image": image}),
        server.ask("GET", f"{API}/label", params={"image": image}),
        server.ask("PUT", f"{API}/label", {"objects": []}, params={"image": image}),
        server.ask("POST", "/infer/click", params={"image": image}),
    ]
    for answer in answers:
        assert answer.status_code in (400, 404), answer.text
        assert answer.json()["detail"]


@pytest.mark.parametrize("path", ["../main.py", "%2e%2e/main.py", "..%2f..%2fmain.py", "/etc/passwd"])
def test_the_page_serves_its_own_files_alone(server, path: str) -> None:
    assert server.ask("GET", f"/angiograms/{path}").status_code in (404, 405)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"points": [[500, 5, 1]]}, 400),
        ({"points": [[5, 5, 2]]}, 400),
        ({"box": [50, 5, 10, 20]}, 400),
        ({"box": [1, 2, 3]}, 422),
        ({}, 400),
        ({"points": [[5, 5, 1]], "network": "none"}, 404),
        ({"points": [[5, 5, 1]], "network": "../ct"}, 404),
        ({"points": [["a", 5, 1]]}, 422),
        ({"point": [[5, 5, 1]]}, 422),
        ({"points": [[1e400, 5, 1]]}, 400),
        ({"points": [[5, 5, 1e400]]}, 422),
    ],
)
def test_a_bad_click_is_named(server, session: str, body: dict, status: int) -> None:
    answer = server.ask(
        "POST",
        f"{API}/sessions/{session}/click",
        data=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_a_session_that_ended_is_gone(server, session: str) -> None:
    assert server.ask("DELETE", f"{API}/sessions/{session}").status_code == 204
    answer = server.ask("POST", f"{API}/sessions/{session}/click", {"points": [[5, 5, 1]]})
    assert answer.status_code == 410
    assert "open the image again" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("/infer/none?image=picture0", {}, 404),
        ("/infer/click", {}, 400),
        ("/infer/click?image=picture0", {"params": "{"}, 400),
        ("/infer/click?image=picture0", {"params": "[]"}, 400),
        ("/infer/click?image=picture0", {"params": '{"image": "/etc/passwd"}'}, 400),
        ("/infer/click?image=picture0", {"params": '{"foreground": [[1, 2], [3]]}'}, 400),
        ("/infer/click?image=picture0", {"params": '{"foreground": [[5, 5]], "network": "none"}'}, 404),
        (
            "/infer/click?image=picture0",
            {"params": '{"foreground": [[5, 5]], "result_extension": ".exe"}'},
            400,
        ),
        ("/infer/modality?image=picture0", {"params": '{"foreground": [[5, 5]]}'}, 400),
        ("/infer/click?session_id=none", {}, 404),
        ("/activelearning/none", {}, 404),
    ],
)
def test_a_bad_inference_is_named(server, path: str, data: dict, status: int) -> None:
    answer = server.ask("POST", path, data=data)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


def test_a_tag_leads_nowhere(server, tmp_path) -> None:
    write_picture(tmp_path / "label.png", 0)
    with (tmp_path / "label.png").open("rb") as file:
        answer = server.ask(
            "PUT", "/datastore/label", params={"image": "picture0", "tag": "../../out"}, files={"label": file}
        )
    assert answer.status_code == 400
    assert not (server.studies.parent / "out").exists()


def test_a_corrupt_image_and_one_that_was_deleted(server) -> None:
    (server.studies / "corrupt.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    write_picture(server.studies / "deleted.png", 91)  # a picture of its own: no embedding of it is kept
    server.wait_for_image("corrupt")
    server.wait_for_image("deleted")
    answer = server.ask("POST", f"{API}/sessions", {"image": "corrupt"})
    assert answer.status_code == 400 and "corrupt.png" in answer.json()["detail"]
    opened = server.ask("POST", f"{API}/sessions", {"image": "deleted"}).json()["session"]
    (server.studies / "deleted.png").unlink()
    (server.studies / "corrupt.png").unlink()
    answer = server.ask("POST", f"{API}/sessions/{opened}/click", {"points": [[5, 5, 1]]})
    assert answer.status_code == 404
    server.wait_for_image("deleted", there=False)
    assert server.ask("POST", f"{API}/sessions", {"image": "deleted"}).status_code == 404


def test_of_two_writers_one_is_told(server) -> None:
    version = server.ask("GET", f"{API}/label?image=picture3").json()["version"]

    def write(number: int) -> int:
        body = {"objects": [{"name": f"writer {number}", "mask": mask_text()}], "version": version}
        return server.ask("PUT", f"{API}/label?image=picture3", body).status_code

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(write, range(4))) == [200, 409, 409, 409]


@pytest.mark.parametrize(
    "objects",
    [
        [{"name": "a", "mask": "no base64"}],
        [{"name": "a", "mask": base64.b64encode(b"no PNG").decode()}],
        [{"name": "a", "mask": mask_text((4, 4))}],
        [{"name": "a", "mask": mask_text()}] * 2,
        [{"name": "", "mask": mask_text()}],
        [{"name": "<script>", "mask": mask_text()}],
    ],
)
def test_a_bad_label_is_refused_whole(server, objects: list) -> None:
    answer = server.ask("PUT", f"{API}/label?image=picture4", {"objects": objects})
    assert answer.status_code == 400, answer.text
    assert server.ask("GET", f"{API}/label?image=picture4").json() == {"version": "", "objects": []}


def test_a_server_killed_while_labels_are_saved_loses_none(server, tmp_path, base) -> None:
    studies = tmp_path / "studies"
    studies.mkdir()
    for number in range(3):
        shutil.copy2(server.studies / f"picture{number}.png", studies)
    second = Server(studies, base).start()
    saved: dict[str, str] = {}

    def save(image: str) -> None:
        version = ""
        for round_ in range(200):
            body = {"objects": [{"name": f"round {round_}", "mask": mask_text()}], "version": version}
            try:
                answer = second.ask("PUT", f"{API}/label?image={image}", body)
            except OSError:
                return  # killed
            version = answer.json()["version"]
            saved[image] = f"round {round_}"
            if round_ == 5:
                second.stop(kill=True)

    try:
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(save, ["picture0", "picture1", "picture2"]))
        assert saved
        second.start()
        for image, name in saved.items():
            (found,) = second.ask("GET", f"{API}/label?image={image}").json()["objects"]
            written = int(found["name"].split()[-1])
            assert written >= int(name.split()[-1])  # that of the last answer, or the one after it
    finally:
        second.stop()
