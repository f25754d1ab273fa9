"""Values of settings against their declarations."""

from __future__ import annotations

from typing import Any

import pytest

from monai_lora_sam.workflows import check_value

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("declared", "right", "wrong"),
    [
        ("integer from 1", [1, 8], [0, -1, 2.5, "8", True, None, NAN]),
        ("number above 0 to 1", [0.002, 1], [0, -1, NAN, INFINITY, 1e9, "1e-3", False]),
        ("number from 0 below 1", [0, 0.05], [1, 2, -0.1, "0.5"]),
        ("integer from 1 or null", [None, 336], [0, "null", []]),
        ("true or false", [True, False], ["false", "yes", 0, 1, None]),
        ("lora or frozen", ["lora"], ["loar", None, 3]),
        ("integers from 1", [[1, 2], (3,)], [[1, 0], 4, "12"]),
        ("text", ["a"], ["", " ", 3, None]),
        ("device", ["cpu"], ["gpu", 3.5, None]),
        ("integer from 1 to epochs", [5], [6]),
    ],
)
def test_values_inside_and_outside(declared: str, right: list[Any], wrong: list[Any]):
    for value in right:
        check_value("key", value, declared, {"epochs": 5})
    for value in wrong:
        with pytest.raises(ValueError, match=r"--key: expected .*, found "):
            check_value("key", value, declared, {"epochs": 5})


@pytest.mark.parametrize(
    ("declared", "value", "hint"),
    [("true or false", "no", "write False"), ("number above 0", "1e-3", r"write 0\.001 in YAML")],
)
def test_text_that_looks_like_a_value_is_answered_with_the_right_form(declared: str, value: str, hint: str):
    with pytest.raises(ValueError, match=hint):
        check_value("key", value, declared)
