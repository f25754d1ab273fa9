"""Fixtures that every test folder shares."""

from __future__ import annotations

import gc
import os
import struct
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest
import torch
from pydicom.dataset import FileDataset, FileMetaDataset

if TYPE_CHECKING:
    from monai_lora_sam.adapters import AdapterStack
    from monai_lora_sam.coronary.networks import LesionDetector
    from monai_lora_sam.encoders import ImageEncoder
    from monai_lora_sam.networks import AdaptedSegmenter

REPOSITORY = Path(__file__).resolve().parents[1]

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

# Tables must not be cut by the width of the terminal in which the tests were started.
os.environ.pop("COLUMNS", None)
# bitsandbytes, which PEFT imports, prepares kernels for torch.compile that no test runs: four processor seconds.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

#: Words in the reason of a skip for a missing package or program.
MISSING = ("could not import", "is not installed")


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later search for garbage, which would take up to a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that continuous integration skips for a missing package."""
    return fail_if_missing((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a file of tests that continuous integration skips for a missing package."""
    return fail_if_missing((yield))


def fail_if_missing(report: Report) -> Report:
    """Turn a skip for a missing package into a failure where the environment has ``CI``."""
    if os.environ.get("CI") and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if any(word in reason for word in MISSING):
            report.outcome = "failed"
            report.longrepr = f"expected all packages of the extra 'dev', found: {reason}"
    return report


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images, or skip where it is missing."""
    folder = Path(os.environ.get("MONAI_LORA_SAM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real images are missing: {folder} (set MONAI_LORA_SAM_DATA)")
    return folder


@pytest.fixture(scope="session")
def shared_cases(shared_data: Path) -> Path:
    """Return the folder of small inputs that once went wrong, or skip where it is missing."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"inputs that once went wrong are missing: {folder}")
    return folder


@pytest.fixture
def random_encoder() -> Callable[..., ImageEncoder]:
    """Build the tiny encoder with random weights for 56-pixel images; equal seeds give equal weights."""

    def make(seed: int = 0) -> ImageEncoder:
        from monai_lora_sam.encoders import build_encoder

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_encoder("tiny", image_size=56)

    return make


@pytest.fixture
def random_segmenter(random_encoder) -> Callable[..., AdaptedSegmenter]:
    """Put a narrow stage on the random encoder, in float32; equal seeds give equal weights."""

    def make(strategy: str = "lora", seed: int = 0, **arguments) -> AdaptedSegmenter:
        from monai_lora_sam.networks import build_segmenter

        small = {"name": "vessels", "width": 8, "last_n": 1, "lora": {"r": 2}, "mixed_precision": False}
        arguments = small | arguments
        with torch.random.fork_rng():
            torch.manual_seed(seed + 1)
            return build_segmenter(random_encoder(seed), "view_segmentation", strategy=strategy, **arguments)

    return make


@pytest.fixture
def random_detector(random_segmenter) -> Callable[..., LesionDetector]:
    """Put stages 1 and 2 and a lesion head on the random encoder, in float32; equal seeds, equal weights."""

    def make(strategy: str = "frozen", seed: int = 0) -> LesionDetector:
        from monai_lora_sam.coronary.networks import build_detector
        from monai_lora_sam.networks import build_segmenter

        def move(stack: AdapterStack) -> None:
            for name, parameter in stack.named_parameters():
                if (
                    "lora_B" in name and parameter.requires_grad
                ):  # zero at first: the adapter would do nothing
                    torch.nn.init.normal_(parameter, std=0.05)

        vessels = random_segmenter("lora", seed)
        narrow = {"width": 8, "lora": {"r": 2, "targets": "qkv"}, "mixed_precision": False}
        with torch.random.fork_rng():
            torch.manual_seed(seed + 2)
            move(vessels.stack)
            segments = build_segmenter(
                vessels.stack, "view_segmentation", out_channels=26, name="segments", **narrow
            )
            move(segments.stack)
            return build_detector(vessels, segments, strategy=strategy, width=8, mixed_precision=False)

    return make


def _move(network: torch.nn.Module) -> None:
    """Move what training would move: fresh adapters are zero, so that no version would differ from another."""
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)


@pytest.fixture(scope="session")
def make_stages() -> Callable[..., SimpleNamespace]:
    """Save a random tiny base for 56 pixels and three random stages on it; equal seeds give equal weights."""

    def make(folder: Path, seed: int = 0) -> SimpleNamespace:
        from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
        from monai_lora_sam.encoders import build_encoder, save_encoder
        from monai_lora_sam.stages import new_stage, save_stage

        narrow = {"width": 8, "mixed_precision": False}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            base = save_encoder(build_encoder("tiny", image_size=56), folder / "base")
            first = new_stage(
                build_encoder("tiny", base, 56),
                head="view_segmentation",
                name="vessels",
                lora={"r": 2},
                **narrow,
            )
            _move(first)
            vessels = save_stage(first, folder / "vessels", task="vessels", class_names=["vessel"])
            second = new_stage(
                build_encoder("tiny", base, 56),
                parents=[vessels],
                head="view_segmentation",
                name="segments",
                out_channels=26,
                lora={"r": 2, "targets": "qkv"},
                **narrow,
            )
            _move(second)
            segments = save_stage(
                second, folder / "segments", task="segments", class_names=ARCADE_CLASS_NAMES
            )
            third = new_stage(
                build_encoder("tiny", base, 56),
                reads={"vessels": vessels, "segments": segments},
                head="lesions",
                **narrow,
            )
            _move(third)
            stenosis = save_stage(third, folder / "stenosis", task="stenosis", class_names=["stenosis"])
        return SimpleNamespace(base=base, vessels=vessels, segments=segments, stenosis=stenosis)

    return make


@pytest.fixture(scope="session")
def stages(
    make_stages: Callable[..., SimpleNamespace], tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Return the folders of a random base and of three stages: `base`, `vessels`, `segments`, `stenosis`."""
    return make_stages(tmp_path_factory.mktemp("three"))


@pytest.fixture(scope="session")
def sentence_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a sentence encoder of MiniLM's kind with two narrow blocks, random weights and a few words; the folder."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    words = [
        "left",
        "right",
        "anterior",
        "descending",
        "artery",
        "vessel",
        "kidney",
        "liver",
        "spleen",
        "lung",
        "of",
    ]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *words,
        *letters,
        *("##" + letter for letter in letters),
    ]
    tokenizer = BertWordPieceTokenizer({piece: index for index, piece in enumerate(pieces)})
    folder = tmp_path_factory.mktemp("sentence_encoder")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=24,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def promptable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a promptable network on a small backbone with random weights."""
    from monai_lora_sam.adapters import AdapterStack
    from monai_lora_sam.encoders.timm_pyramid import TimmPyramidConfig, TimmPyramidEncoder
    from monai_lora_sam.networks import PromptableSegmenter, PromptHead

    with torch.random.fork_rng():
        torch.manual_seed(2)
        encoder = TimmPyramidEncoder(TimmPyramidConfig("mobilenetv3_small_050", own_range=True), "mini", 64)
        stack = AdapterStack(encoder.eval())
        network = PromptableSegmenter.new(
            stack, PromptHead, {}, strategy="frozen", decoder="frozen", pretrained=False
        )
    return network.save_pretrained(tmp_path_factory.mktemp("promptable") / "network")


@pytest.fixture(scope="session")
def text_stage(promptable: Path, sentence_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a stage that takes words, with random weights, on the small promptable network."""
    from monai_lora_sam.encoders import build_encoder
    from monai_lora_sam.stages import new_stage, save_stage

    with torch.random.fork_rng():
        torch.manual_seed(3)
        stage = new_stage(
            build_encoder("mini", promptable, 64),
            head="text",
            pretrained=promptable,
            text_encoder=str(sentence_encoder),
            text_lora={"r": 2},
        )
        torch.nn.init.constant_(stage.head.presence.judge[-1].bias, 3.0)  # all is present
    folder = tmp_path_factory.mktemp("text") / "stage"
    return save_stage(stage, folder, task="phrases", class_names=["left kidney", "spleen"])


#: A chat template of ChatML's form, as SmolLM2 has it.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def small_tokenizer():
    """Build a byte-level tokenizer with a chat template from a few sentences."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    sentences = [
        "user assistant Where is the vessel? Show the liver in this picture. It is not in this picture."
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(8 * sentences, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        chat_template=CHAT_TEMPLATE,
    )


@pytest.fixture(scope="session")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a language model of Llama's kind with two narrow blocks and random weights; the folder."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = small_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    folder = tmp_path_factory.mktemp("language_model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no package be found that carries weights."""
    from importlib import metadata

    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("monai_lora_sam.encoders.installed_file.metadata.files", missing)


@pytest.fixture(scope="session")
def reasoning_stage(promptable: Path, language_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a stage that is asked by questions, with random weights, on the small promptable network."""
    from monai_lora_sam.encoders import build_encoder
    from monai_lora_sam.stages import new_stage, save_stage

    with torch.random.fork_rng():
        torch.manual_seed(4)
        stage = new_stage(
            build_encoder("mini", promptable, 64),
            head="reasoning",
            pretrained=promptable,
            language_model=str(language_model),
            language_precision="float32",
            grid=2,
        )
    folder = tmp_path_factory.mktemp("reasoning") / "stage"
    return save_stage(stage, folder, task="questions", class_names=["vessel"])


XA_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.12.1"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def _element(tag: str, representation: str, value: bytes) -> bytes:
    """Encode one element in explicit VR little endian (DICOM PS3.5, 7.1.2)."""
    padding = b"\x00" if representation in ("UI", "OB", "OW") else b" "
    value += padding * (len(value) % 2)
    group, element = (int(part, 16) for part in tag.split("|"))
    head = struct.pack("<HH2s", group, element, representation.encode())
    long_form = representation in ("OB", "OW")
    length = struct.pack("<HI", 0, len(value)) if long_form else struct.pack("<H", len(value))
    return head + length + value


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes (H, W) or (N, H, W) unsigned pixels and decimal-string tags."""

    def write(
        pixels: np.ndarray,
        tags: dict[str, str] | None = None,
        photometric: str = "MONOCHROME2",
        bits_stored: int | None = None,
        name: str = "frame.dcm",
    ) -> Path:
        frames = pixels.shape[0] if pixels.ndim == 3 else 1
        rows, columns = pixels.shape[-2:]
        bits = pixels.dtype.itemsize * 8
        elements = {
            "0008|0016": ("UI", XA_IMAGE_STORAGE.encode()),
            "0008|0018": ("UI", b"1.2.3.4"),
            "0008|0060": ("CS", b"XA"),
            "0028|0002": ("US", struct.pack("<H", 1)),
            "0028|0004": ("CS", photometric.encode()),
            "0028|0010": ("US", struct.pack("<H", rows)),
            "0028|0011": ("US", struct.pack("<H", columns)),
            "0028|0100": ("US", struct.pack("<H", bits)),
            "0028|0101": ("US", struct.pack("<H", bits_stored or bits)),
            "0028|0102": ("US", struct.pack("<H", (bits_stored or bits) - 1)),
            "0028|0103": ("US", struct.pack("<H", 0)),
            "7fe0|0010": ("OW" if bits == 16 else "OB", pixels.tobytes()),
        }
        if frames > 1:
            elements["0028|0008"] = ("IS", str(frames).encode())
        for tag, text in (tags or {}).items():
            elements[tag] = ("DS", text.encode())
        meta = _element("0002|0001", "OB", b"\x00\x01")
        meta += _element("0002|0002", "UI", XA_IMAGE_STORAGE.encode())
        meta += _element("0002|0003", "UI", b"1.2.3.4")
        meta += _element("0002|0010", "UI", EXPLICIT_LITTLE_ENDIAN.encode())
        meta = _element("0002|0000", "UL", struct.pack("<I", len(meta))) + meta
        body = b"".join(_element(tag, *elements[tag]) for tag in sorted(elements))
        path = tmp_path / name
        path.write_bytes(b"\x00" * 128 + b"DICM" + meta + body)
        return path

    return write


@pytest.fixture
def xa_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes (N, H, W) pixels as XA by pydicom; keywords add elements, None removes them."""

    def write(pixels: np.ndarray, name: str = "cine.dcm", **elements) -> Path:
        dataset = xa_dataset(pixels)
        for keyword, value in elements.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(tmp_path / name)
        return tmp_path / name

    return write


def xa_dataset(pixels: np.ndarray) -> FileDataset:
    """Make a small XA data set, with what an image needs and a frame time."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = XA_IMAGE_STORAGE, "1.2.3.4"
    meta.TransferSyntaxUID = EXPLICIT_LITTLE_ENDIAN
    dataset = FileDataset("", {}, b"\x00" * 128, meta, is_implicit_VR=False, is_little_endian=True)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = XA_IMAGE_STORAGE, "1.2.3.4", "XA"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.FrameTime = "40"
    dataset.PixelData = pixels.tobytes() + b"\x00" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    return dataset


@pytest.fixture(scope="session")
def text_sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a miniature of SAM 3 for 112 pixels in transformers' form, with a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers.models.sam3.configuration_sam3 import Sam3Config
    from transformers.models.sam3.modeling_sam3 import Sam3Model

    folder = tmp_path_factory.mktemp("sam3")
    small = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
    config = Sam3Config(
        vision_config={
            "fpn_hidden_size": 32,
            "backbone_config": {
                "model_type": "sam3_vit_model",
                **small,
                "num_hidden_layers": 2,
                "image_size": 112,
                "pretrain_image_size": 56,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
        },
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": 64,
            **small,
            "projection_dim": 16,
            "num_hidden_layers": 2,
            "max_position_embeddings": 12,
            "eos_token_id": 1,
            "pad_token_id": 0,
        },
        geometry_encoder_config={**small, "num_layers": 1, "roi_size": 3},
        detr_encoder_config={**small, "num_layers": 1},
        detr_decoder_config={**small, "num_layers": 2, "num_queries": 8},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Sam3Model(config)
        for parameter in model.parameters():  # transformers starts at almost equal answers for all words
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(folder)
    words = ["<pad>", "<end>", "<unknown>", "visual", "left", "kidney", "spleen", "liver", "vessel"]
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unknown>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
