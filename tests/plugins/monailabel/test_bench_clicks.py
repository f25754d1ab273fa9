"""The benchmark of clicks asks a real server and returns all its figures."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")

from label_server import ENCODER, write_picture

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "bench_clicks.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_clicks", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_figures_of_a_network(bench, server, capsys) -> None:
    for number in range(2):
        write_picture(server.studies / f"phantom{number}.png", number, (512, 512))
        server.wait_for_image(f"phantom{number}")
    row = bench.measure(server, ENCODER, images=2, clicks=2, requests=16)
    for key in ("first_ms", "later_ms", "together_ms"):
        assert 0 < row[key]["p50"] <= row[key]["p95"]
    assert row["clicks_per_second"] > 0 and row["memory_mib"] > 0
    bench.show([row])
    assert ENCODER in capsys.readouterr().out


def test_a_refused_click_is_an_error(bench, server) -> None:
    session = server.ask("POST", "/angiograms/api/sessions", {"image": "picture0"}).json()["session"]
    with pytest.raises(RuntimeError, match="expected a mask, found 404"):
        bench.click(server, session, [[5, 5]], "none")
