"""Ends of a MONAI evaluator's chain: read the images of a run, find their vessels, write the results of each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_lora_sam.coronary.images import Angiogram
from monai_lora_sam.coronary.pipeline.analysis import CoronaryPipeline
from monai_lora_sam.coronary.pipeline.files import AngiogramRun
from monai_lora_sam.transforms import as_meta_tensor


class ReadAngiogramd(MapTransform):
    """Read images as (1, H, W) from 0 to 1, as the options of a run say, and put their view angles under `view`.

    Args:
        keys: of the image paths.
        run: reads them and remembers the last one for :class:`WriteResults`; so the data loader has no workers.
    """

    def __init__(self, keys: KeysCollection, run: AngiogramRun) -> None:
        super().__init__(keys)
        self.run = run

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            angiogram = self.run.read(item[key]).angiogram
            item[key] = as_meta_tensor(angiogram.pixels, str(angiogram.path))
            item["view"] = angiogram.view
        return item


class FindVesselsd(MapTransform):
    """Put the vessel probability (1, H, W) of angiograms (1, H, W) from 0 to 1 under a key of its own.

    Args:
        keys: of the angiograms.
        pipeline: finds the vessels.
        map_key: gets the probability.
        view_key: of the view angles in degrees, or None.
    """

    def __init__(
        self,
        keys: KeysCollection,
        pipeline: CoronaryPipeline,
        map_key: str = "probability",
        view_key: str = "view",
    ) -> None:
        super().__init__(keys)
        self.pipeline, self.map_key, self.view_key = pipeline, map_key, view_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        item = dict(data)
        for key in self.key_iterator(item):
            pixels = torch.as_tensor(item[key])[0].cpu().numpy()
            angiogram = Angiogram(pixels, None, item[self.view_key], "", Path())
            item[self.map_key] = torch.from_numpy(self.pipeline.probability(angiogram))[None]
        return item


class WriteResults:
    """Write the results of each image of a run after the evaluator's iteration; note an image that fails.

    Args:
        run: the run whose images the evaluator gets, one a batch.
        vessels_key: of the vessel probability (1, H, W) in the evaluator's output; its `segments` and `lesions`
            are written, too.
    """

    def __init__(self, run: AngiogramRun, vessels_key: str = "vessels") -> None:
        self.run, self.vessels_key = run, vessels_key

    def attach(self, engine: Engine) -> None:
        """Register with an engine."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _write(self, engine: Engine) -> None:
        for item in engine.state.output:  # type: ignore[union-attr]
            self.run.write_found({**item, "vessels": item[self.vessels_key]})

    def _fail(self, engine: Engine, problem: BaseException) -> None:
        if not isinstance(problem, Exception):  # such as Ctrl-C
            raise problem
        self.run.fail(problem)
