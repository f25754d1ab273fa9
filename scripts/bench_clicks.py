"""Measure how fast clicks are answered over HTTP: the first on an image, later ones, many clients, memory.

A server of the MONAI Label app is started on synthetic angiograms. It needs the environment of MONAI Label
(``make label``): ``.venv-label/bin/python scripts/bench_clicks.py``.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from PIL import Image
from rich.table import Table

sys.path.append(str(Path(__file__).resolve().parents[1] / "plugins" / "monailabel"))

from label_app.local_server import LocalServer

from monai_lora_sam.cli.console import console
from monai_lora_sam.coronary.phantom import generate_phantom

API = "/angiograms/api"
CLIENTS = 8


def main(
    network: Annotated[
        list[str] | None,
        typer.Option(help="Base or adapter in --adapters; may be given again.", metavar="NAME"),
    ] = None,
    adapters: Annotated[Path | None, typer.Option(help="Folder of adapters.")] = None,
    images: Annotated[int, typer.Option(min=1, help="Angiograms, each with a first click.")] = 10,
    clicks: Annotated[int, typer.Option(min=1, help="Later clicks on each.")] = 20,
    requests: Annotated[int, typer.Option(min=0, help="Clicks of all clients together.")] = 1600,
    quick: Annotated[bool, typer.Option(help="Two images and few clicks: shows that it works.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures; - for standard output.")
    ] = None,
) -> None:
    """Measure clicks at 512 x 512 pixels."""
    if quick:
        images, clicks, requests = 2, 3, 16
    names = network or ["mini", "medsam_lite"]
    with tempfile.TemporaryDirectory() as folder:
        studies = Path(folder) / "studies"
        studies.mkdir()
        for number in range(images):
            Image.fromarray(generate_phantom(number).image).save(studies / f"phantom{number}.png")
        conf = {"device": "cpu"} | ({"adapters": str(adapters.resolve())} if adapters else {})
        with LocalServer(studies, conf, Path(folder) / "server.log") as server:
            rows = [measure(server, name, images, clicks, requests) for name in names]
    result = {"cores": os.cpu_count(), "images": images, "clicks": clicks, "requests": requests, "rows": rows}
    text = json.dumps(result, indent=1)
    if str(json_file) == "-":
        print(text)
        return
    if json_file is not None:
        json_file.write_text(text + "\n", encoding="utf-8")
    show(rows)


def measure(server: LocalServer, network: str, images: int, clicks: int, requests: int) -> dict[str, Any]:
    """Return the figures of a network; its weights are loaded before the clock starts."""
    points = np.random.default_rng(0).integers(64, 448, (images, clicks + 1, 2)).tolist()
    warm = _open(server, 0)
    click(server, warm, [points[0][0]], network)
    first, later = [], []
    for image in range(images):
        session = _open(server, image)
        if image:  # the first image was encoded with the weights
            first.append(click(server, session, points[image][:1], network))
        later += [click(server, session, points[image][: n + 2], network) for n in range(clicks)]
    process = psutil.Process(server.process.pid) if server.process else None
    memory = _memory(process)
    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        shared = list(
            threads.map(
                lambda client: _many(server, client % images, points, network, requests // CLIENTS),
                range(CLIENTS),
            )
        )
    seconds = time.perf_counter() - begun
    together = [one for client in shared for one in client]
    return {
        "network": network,
        "first_ms": _percentiles(first),
        "later_ms": _percentiles(later),
        "clients": CLIENTS,
        "together_ms": _percentiles(together),
        "clicks_per_second": round(len(together) / seconds, 2) if together else None,
        "memory_mib": memory,
        "memory_after_mib": _memory(process),
    }


def click(server: LocalServer, session: str, points: list[list[int]], network: str) -> float:
    """Return the seconds of a click as a client sees them."""
    body = {
        "name": "a",
        "points": [[x, y, int(n % 2 == 0)] for n, (x, y) in enumerate(points)],
        "network": network,
    }
    begun = time.perf_counter()
    answer = server.ask("POST", f"{API}/sessions/{session}/click", body)
    seconds = time.perf_counter() - begun
    if answer.status_code != 200:
        raise RuntimeError(f"{network}: expected a mask, found {answer.status_code}: {answer.text[:300]}")
    return seconds


def _many(
    server: LocalServer, image: int, points: list[list[list[int]]], network: str, count: int
) -> list[float]:
    session = _open(server, image)
    return [
        click(server, session, points[image][: 1 + n % len(points[image])], network) for n in range(count)
    ]


def _open(server: LocalServer, image: int) -> str:
    answer = server.ask("POST", f"{API}/sessions", {"image": f"phantom{image}"})
    answer.raise_for_status()
    return answer.json()["session"]


def _percentiles(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    return {
        "p50": round(1000 * statistics.median(seconds), 1),
        "p95": round(1000 * float(np.percentile(seconds, 95)), 1),
    }


def _memory(process: psutil.Process | None) -> float | None:
    return None if process is None else round(process.memory_info().rss / 2**20, 1)


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table of the figures."""
    table = Table(title="Clicks over HTTP, ms (p50 / p95)")
    for name in ("network", "first", "later", f"{CLIENTS} clients", "clicks/s", "memory MiB", "after"):
        table.add_column(name, justify="left" if name == "network" else "right")
    for row in rows:
        times = (row[key] for key in ("first_ms", "later_ms", "together_ms"))
        cells = [f"{one['p50']} / {one['p95']}" if one else "-" for one in times]
        table.add_row(
            row["network"],
            *cells,
            str(row["clicks_per_second"]),
            str(row["memory_mib"]),
            str(row["memory_after_mib"]),
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
