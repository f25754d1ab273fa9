"""A training without numbers stops, and the last good state stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Events

from monai_lora_sam.handlers import FiniteTraining


def test_a_loss_that_is_no_number_stops_with_epoch_and_step(make_run):
    run = make_run()
    FiniteTraining(run.network).attach(run.trainer)
    state: dict[str, bytes] = {}

    @run.trainer.on(Events.ITERATION_STARTED(once=6))
    def spoil(engine) -> None:
        state["before"] = Path(run.folder / "state.pt").read_bytes()
        with torch.no_grad():
            run.network[1].weight.fill_(float("nan"))

    with pytest.raises(ValueError, match="epoch 2, step 2: expected a finite loss, found nan"):
        run.trainer.run()
    assert (run.folder / "state.pt").read_bytes() == state["before"]
