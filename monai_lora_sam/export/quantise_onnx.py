"""Quantise an ONNX model to 8 bits for CPUs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

#: Operators whose weights and inputs become 8-bit numbers.
OPERATORS = ("Conv", "MatMul", "Gemm")


def quantise_onnx(source: str | Path, out: str | Path, images: Iterable[np.ndarray]) -> Path:
    """Write an ONNX model of one input with 8-bit convolutions and linear layers, by onnxruntime's static quantisation.

    Args:
        source: ONNX model in float32, whose one input is `image`.
        out: file to write.
        images: prepared inputs (1, 3, H, W), by which the range of each layer's input is found.

    Returns:
        The file.

    Raises:
        ValueError: onnxruntime is missing, or no image.

    Example:
        >>> quantise_onnx("model.onnx", "model.int8.onnx", images)  # doctest: +SKIP
        PosixPath('model.int8.onnx')
    """
    try:
        import onnxruntime.quantization as onnx_quantisation
    except ImportError as error:
        raise ValueError(f"8 bits need {error.name}: pip install 'monai-lora-sam[export]'") from error
    given = list(images)
    if not given:
        raise ValueError(f"{source}: expected images to find the ranges of 8 bits by, found none")

    class Reader(onnx_quantisation.CalibrationDataReader):  # type: ignore[misc, name-defined]
        """Hand the images out one by one."""

        def __init__(self) -> None:
            self.rest: Iterator[np.ndarray] = iter(given)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.rest, None)
            return None if image is None else {"image": image}

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it warns that a model may be preprocessed, as torch's exporter has done
    try:
        onnx_quantisation.quantize_static(
            str(source),
            str(out),
            Reader(),
            quant_format=onnx_quantisation.QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=onnx_quantisation.QuantType.QUInt8,
            weight_type=onnx_quantisation.QuantType.QInt8,
        )
    finally:
        root.setLevel(level)
    return Path(out)
