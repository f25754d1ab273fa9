"""Run this project's bundles from Python."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from monai_lora_sam.workflows.causes import cause_of
from monai_lora_sam.workflows.folder_lock import release_folder
from monai_lora_sam.workflows.settings import check_keys


def bundle_folder(name: str) -> Path:
    """Return the folder of a bundle: beside the package in a checkout, inside it when installed.

    Raises:
        ValueError: if there is no such bundle; the known ones are named.

    Example:
        >>> bundle_folder("vessel_segmentation").name
        'vessel_segmentation'
    """
    package = Path(__file__).resolve().parents[1]
    roots = [root for root in (package / "bundles", package.parent / "bundles") if root.is_dir()]
    known = {
        folder.name: folder for root in roots for folder in root.iterdir() if (folder / "configs").is_dir()
    }
    if name not in known:
        raise ValueError(f"bundle: expected one of {sorted(known)}, found {name!r}")
    return known[name]


def training_steps(dataloader: Sized, epochs: int) -> int:
    """Return the number of steps of a whole run.

    Raises:
        ValueError: if an epoch has no step, because there are fewer images than one batch takes.
    """
    if len(dataloader) == 0:
        raise ValueError(
            "training images: expected at least one batch a process, found fewer (lower batch_size)"
        )
    return epochs * len(dataloader)


# MONAI warns each time that no file of logging is used: its progress is shown by our own handlers.
logging.getLogger("monai.bundle.workflows").addFilter(
    lambda record: "Logging file is set to False" not in record.getMessage()
)


def run_bundle(
    name: str,
    config: str | Sequence[str | Path] = ("train.yaml",),
    overrides: Mapping[str, Any] | None = None,
) -> ConfigWorkflow:
    """Run a bundle as ``python -m monai.bundle run`` does, and return its finished workflow.

    Args:
        name: of the bundle.
        config: names of its files, or paths of others; a later one wins over an earlier one.
        overrides: values by key, as on the command line: ``{"epochs": 8, "lora#r": 4}``.

    Raises:
        ValueError: an unknown bundle or key, or a value outside its range.

    Example:
        >>> run = run_bundle("vessel_segmentation", overrides={"dataset_dir": "phantoms"})  # doctest: +SKIP
        >>> network = run.parser.get_parsed_content("network_def")  # doctest: +SKIP
    """
    workflow = _workflow(name, config, overrides)
    output = (overrides or {}).get("output_dir")
    try:
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        return workflow
    except Exception as error:
        failed = cause_of(error)
    finally:
        if isinstance(output, str | Path):
            release_folder(output)
    raise failed


def bundle_settings(
    name: str,
    config: str | Sequence[str | Path] = ("train.yaml",),
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Check the keys and values of a run as :func:`run_bundle` does, without starting it, and return its settings.

    Args:
        name: as of :func:`run_bundle`.
        config: as of :func:`run_bundle`.
        overrides: as of :func:`run_bundle`.

    Returns:
        settings by key, as of :func:`checked_settings`: `fixed` and `free`.

    Raises:
        ValueError: an unknown bundle or key, or a value outside its range.

    Example:
        >>> bundle_settings("vessel_segmentation", overrides={"lora#r": 4})["fixed"]["lora#r"]
        4
    """
    workflow = _workflow(name, config, overrides, init_id="settings")
    try:
        return workflow.initialize()[0]
    except Exception as error:
        failed = cause_of(error)
    raise failed


def _workflow(
    name: str,
    config: str | Sequence[str | Path],
    overrides: Mapping[str, Any] | None,
    init_id: str = "initialize",
) -> ConfigWorkflow:
    folder = bundle_folder(name)
    configs = folder / "configs"
    files = [config] if isinstance(config, str) else list(config)
    paths = [str(configs / file if (configs / file).is_file() else file) for file in files]
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        raise ValueError(
            f"bundle {name}: expected {', '.join(Path(m).name for m in missing)}, found no such file"
        )
    keys = {key.replace("#", "::"): value for key, value in (overrides or {}).items()}
    _check_places(keys, paths)
    try:
        return ConfigWorkflow(
            config_file=paths,
            meta_file=str(configs / "metadata.json"),
            logging_file=False,
            workflow_type="train",
            init_id=init_id,
            bundle_root=str(folder),
            **keys,
        )
    except Exception as error:
        failed = cause_of(error)
    raise failed


def _check_places(keys: Mapping[str, Any], paths: Sequence[str]) -> None:
    """Check that the place of each key inside another exists: MONAI's own error names no key beside it."""
    own = ConfigParser.load_config_files(list(paths))
    for key in keys:
        parent, _, last = key.rpartition("::")
        if parent and parent not in ConfigParser(own):
            top = key.split("::")[0]
            check_keys({top: {last: None}}, own, {}, tuple(Path(path).name for path in paths))
            raise ValueError(f"--{key.replace('::', '#')}: expected a key that is there, found {last!r}")


def run_bundle_together(
    name: str,
    processes: int,
    config: Sequence[str | Path] = ("train.yaml",),
    overrides: Mapping[str, Any] | None = None,
) -> ConfigWorkflow:
    """Train a bundle with several processes that share each batch, and return its finished workflow.

    As ``torchrun -m monai.bundle run`` with ``multi_gpu_train.yaml``, one thread a process on the CPU: there two
    processes of one thread each are faster than one of two threads. With one process it is :func:`run_bundle`.

    Args:
        name: of the bundle.
        processes: how many; the batch size is divided among them.
        config: as of :func:`run_bundle`.
        overrides: as of :func:`run_bundle`, `batch_size` among them.

    Raises:
        ValueError: if the batch size is no multiple of the number of processes.
        subprocess.CalledProcessError: if a process fails; its error is on the console.
    """
    settings = dict(overrides or {})
    if processes > 1:
        if settings["batch_size"] % processes:
            raise ValueError(
                f"batch size: expected a multiple of {processes} processes, found {settings['batch_size']}"
            )
        configs = bundle_folder(name) / "configs"
        files = [
            str(configs / file if (configs / file).is_file() else file)
            for file in (*config, "multi_gpu_train.yaml")
        ]
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc_per_node", str(processes), "-m", "monai.bundle", "run"]
        command += ["--config_file", repr(files), "--meta_file", str(configs / "metadata.json")]
        command += ["--bundle_root", str(configs.parent)]
        for key, value in {**settings, "batch_size": settings["batch_size"] // processes}.items():
            command += [f"--{key}", str(value)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if "cache_rate" in ConfigParser.load_config_file(str(configs / "train.yaml")):
            settings["cache_rate"] = 0.0  # the next run only reads the finished state
    return run_bundle(name, config, settings)
