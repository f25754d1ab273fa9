"""Predictions against peaks measured on an H100 and on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monai_lora_sam.memory import StepConfiguration, StepMemory, measure, predict

#: Strategy, checkpointing, batch, GiB: ``torch.cuda.max_memory_allocated`` of training steps of SAM 3's vision encoder
#: and the segmentation head at 1008², LoRA of rank 16 on queries and values, random weights, on an NVIDIA H100;
#: bfloat16 base for lora and frozen, float32 weights under autocast for full. ``scripts/bench_training_step.py``
#: is the step.
H100 = [
    ("lora", False, 1, 9.6),
    ("lora", False, 2, 18.0),
    ("lora", False, 4, 34.8),
    ("lora", True, 1, 5.2),
    ("lora", True, 4, 16.8),
    ("lora", True, 8, 32.3),
    ("frozen", False, 1, 4.5),
    ("frozen", False, 4, 14.2),
    ("full", False, 1, 16.6),
    ("full", False, 2, 26.8),
    ("full", True, 2, 13.3),
]
SAM3 = StepConfiguration("sam3", 1008, head="view_segmentation", average=False)


def _h100(strategy: str, checkpointing: bool) -> StepConfiguration:
    base = "float32" if strategy == "full" else "bfloat16"
    return replace(SAM3, strategy=strategy, checkpointing=checkpointing, base=base)


@pytest.mark.parametrize(("strategy", "checkpointing", "batch", "gib"), H100)
def test_prediction_is_within_a_tenth_of_the_h100(strategy, checkpointing, batch, gib):
    found = StepMemory(_h100(strategy, checkpointing)).predict(batch)
    assert found.peak_gib == pytest.approx(gib, rel=0.1), found.parts


@pytest.mark.parametrize("strategy", ["lora", "full"])
def test_prediction_is_within_a_tenth_of_the_cpu(strategy):
    configuration = StepConfiguration("tiny", 112, 2, strategy, device="cpu")
    assert predict(configuration).peak == pytest.approx(measure(configuration).peak, rel=0.1)


@pytest.mark.parametrize("more", [{"layers": 2}, {"strategy": "frozen"}])
def test_stored_features_are_predicted_as_measured_on_the_cpu(more):
    configuration = StepConfiguration("tiny", 112, 2, device="cpu", feature_cache=True, **more)
    cached, whole = predict(configuration), predict(replace(configuration, feature_cache=False))
    assert cached.peak == pytest.approx(measure(configuration).peak, rel=0.1)
    assert cached.flops < 0.9 * whole.flops


def test_blocks_that_are_stored_take_no_operations():
    memories = [StepMemory(replace(SAM3, layers=8, feature_cache=cached)) for cached in (False, True)]
    live, cached = (memory.history.flops for memory in memories)
    # Of 32 blocks 24 lie before the adapter: 24 forward passes, at least 2/3 of the operations of the 32.
    blocks = live - cached
    assert 24 / 32 * 2 * 454e6 * 0.9 * 72 * 72 < blocks < 24 / 32 * 2 * 454e6 * 1.5 * 72 * 72


def test_parts_add_up():
    found = predict(StepConfiguration("tiny", 112))
    assert found.peak == sum(found.parts.values())
    assert found.parts["optimiser"] == 2 * found.parts["average"] == 8 * found.trained


def test_other_batches_follow_from_one_run():
    memory = StepMemory(StepConfiguration("tiny", 112))
    peaks = [memory.predict(batch).peak for batch in (8, 16, 24)]
    assert peaks[2] - peaks[1] == pytest.approx(peaks[1] - peaks[0], rel=0.01)


@pytest.mark.parametrize(
    "settings",
    [{}, {"checkpointing": True}, {"checkpointing": "offload"}, {"layers": 5, "feature_cache": True}],
)
def test_one_block_stands_for_all_that_are_alike(settings):
    configuration = StepConfiguration("tiny", 112, **settings)
    joined, whole = StepMemory(configuration), StepMemory(configuration, join=False)
    assert len(joined.history.births) < 0.9 * len(whole.history.births)
    assert joined.history.flops == pytest.approx(whole.history.flops, rel=1e-6)
    for batch in (1, 16):
        assert joined.predict(batch).peak == pytest.approx(whole.predict(batch).peak, rel=0.01)


def test_offloading_saves_the_inputs_of_the_blocks():
    kept, offloaded = (
        StepMemory(replace(_h100("lora", True), checkpointing=how)) for how in (True, "offload")
    )
    inputs = (
        4 * 32 * 72 * 72 * 1024 * 4
    )  # batch, blocks, patches, channels, bytes: normalisation gives float32
    assert kept.predict(4).peak - offloaded.predict(4).peak == pytest.approx(inputs, rel=0.1)


def test_inference_takes_less_than_training():
    training = StepConfiguration("tiny", 112, 4)
    inference = replace(training, training=False)
    found = [predict(c).parts for c in (inference, training)]
    assert found[0]["activations"] == found[0]["gradients"] == found[0]["optimiser"] == 0
    assert sum(found[0].values()) < sum(found[1].values())


def test_4bit_and_bfloat16_bases_are_smaller():
    weights = [
        predict(StepConfiguration("tiny", 112, **how)).parts["weights"]
        for how in ({}, {"base": "bfloat16"}, {"quantise": "nf4"})
    ]
    assert weights[0] > weights[1] > weights[2]


def test_eight_bit_optimiser_has_a_quarter_of_the_state():
    plain, small = (
        predict(StepConfiguration("tiny", 112, strategy="full", optimiser=kind)).parts["optimiser"]
        for kind in ("adamw", "adamw_8bit")
    )
    assert plain / 4 < small < plain / 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "sam4"}, "nearest: 'sam3'"),
        ({"strategy": "lorra"}, "nearest: 'lora'"),
        ({"batch": 0}, "batch: expected 1 or more, found 0"),
        ({"strategy": "full", "quantise": "nf4"}, "4-bit weights do not train"),
        ({"strategy": "full", "base": "bfloat16"}, "rounded away"),
        ({"base": "bfloat16", "mixed_precision": False}, "expected CUDA and mixed precision"),
        ({"quantise": "int8"}, "expected one of nf4"),
        ({"checkpointing": "cpu"}, "expected one of offload"),
        ({"checkpointing": "offload", "device": "cpu"}, "expected CUDA"),
    ],
)
def test_bad_configurations_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        StepConfiguration(**{"encoder": "tiny", **settings})


def test_sizes_and_4bit_that_an_encoder_cannot_take_are_refused():
    with pytest.raises(ValueError, match="nearest: 98 or 112"):
        predict(StepConfiguration("tiny", 100))
    with pytest.raises(ValueError, match="convolutions alone"):
        predict(StepConfiguration("mini", 64, quantise="nf4"))


def test_another_batch_on_the_cpu_is_refused():
    with pytest.raises(ValueError, match="batch: expected 2 on the CPU, found 3"):
        StepMemory(StepConfiguration("tiny", 112, 2, device="cpu")).predict(3)


def _table() -> str:
    """Return predictions beside the peaks measured on the H100 as a Markdown table, with mean and worst error."""
    lines = [
        "| strategy | checkpointing | batch | measured GiB | predicted GiB | error % |",
        "|---|---|---:|---:|---:|---:|",
    ]
    errors = []
    for strategy, checkpointing, batch, gib in H100:
        found = StepMemory(_h100(strategy, checkpointing)).predict(batch).peak_gib
        errors.append(100 * (found / gib - 1))
        yes = "yes" if checkpointing else "no"
        lines.append(f"| {strategy} | {yes} | {batch} | {gib} | {found:.2f} | {errors[-1]:+.1f} |")
    sizes = [abs(error) for error in errors]
    return "\n".join([*lines, "", f"Error: mean {sum(sizes) / len(sizes):.1f} %, worst {max(sizes):.1f} %."])


if __name__ == "__main__":
    print(_table())
