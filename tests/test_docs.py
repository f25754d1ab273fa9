"""The documentation holds: links resolve, commands and settings exist, the README's Python runs."""

from __future__ import annotations

import re
import shlex
from copy import deepcopy
from pathlib import Path

import pytest
import typer
import yaml
from monai.bundle import ConfigParser

from monai_lora_sam.cli.keys import bundle_and_keys, parse_keys
from monai_lora_sam.cli.main import app
from monai_lora_sam.coronary.stages import SHIPPED
from monai_lora_sam.workflows import bundle_folder, check_keys

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
        *REPOSITORY.glob("plugins/**/*.md"),
        *REPOSITORY.glob("bundles/*/docs/*.md"),
    ]
)
BUNDLES = sorted(path.parent for path in (REPOSITORY / "bundles").glob("*/configs"))
BUNDLE = REPOSITORY / "bundles" / "vessel_segmentation"
TRAINED = [folder for folder in BUNDLES if (folder / "configs" / "train.yaml").is_file()]


def _name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def _anchor(heading: str) -> str:
    """Return GitHub's anchor of a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def _command_lines(page: Path) -> list[list[str]]:
    lines = "\n".join(_blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_relative_links_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        headings = (
            re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.MULTILINE)
            if linked.suffix == ".md"
            else []
        )
        if not linked.exists() or (anchor and anchor not in map(_anchor, headings)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_and_their_options_exist(page):
    root = typer.main.get_command(app)
    for words in _command_lines(page):
        if words[0] != "monai-lora-sam":
            continue
        command, rest = root, words[1:]
        while rest and rest[0] in getattr(command, "commands", {}):
            command, rest = command.commands[rest[0]], rest[1:]
        assert not hasattr(command, "commands") or rest == ["--help"], f"no such command: {' '.join(words)}"
        if command.name in ("train", "evaluate"):
            files = ["train.yaml", *["evaluate.yaml"] * (command.name == "evaluate")]
            bundle, keys = bundle_and_keys(rest)
            configs = bundle_folder(bundle) / "configs"
            parser = ConfigParser(ConfigParser.load_config_files([str(configs / file) for file in files]))
            own = deepcopy(parser.get())
            for key, value in parse_keys(keys).items():
                parser.set(value, key)
            declared = yaml.safe_load((configs / "settings.yaml").read_text(encoding="utf-8"))["values"]
            check_keys(parser.get(), own, declared, tuple(files))
            continue
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert {word for word in rest if word.startswith("--")} <= known, " ".join(words)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_and_keys_of_bundle_and_script_commands_exist(page):
    start = next((folder for folder in BUNDLES if page.is_relative_to(folder)), REPOSITORY)
    for words in _command_lines(page):
        for script in (word for word in words if re.fullmatch(r"scripts/\w+\.py", word)):
            assert (REPOSITORY / script).is_file(), script
        if "monai.bundle" not in words:
            continue
        given = words[words.index("--config_file") + 1]
        files = [start / file for file in re.findall(r"[\w/.]+\.yaml", given)]
        assert files and all(file.is_file() for file in files), given
        keys = {key.split("::")[0] for file in files for key in yaml.safe_load(file.read_text())}
        options = {word[2:].split("#")[0] for word in words[words.index("run") :] if word.startswith("--")}
        assert options - {"config_file"} <= keys, " ".join(words)


def test_makefile_targets_named_exist():
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = re.findall(
            r"(?:^|`)make (?:\w+=\S+ )*([\w-]+)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert set(named) <= targets, _name(page)


@pytest.mark.parametrize("bundle", TRAINED, ids=lambda folder: folder.name)
def test_every_setting_of_the_training_configuration_is_described(bundle):
    text = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
    settings = yaml.safe_load((bundle / "configs" / "train.yaml").read_text())
    assert set(settings) - described == set()


def test_the_defaults_described_are_those_of_the_training_configuration():
    text = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
    text = text.split("### Common settings")[1].split("###")[0]
    settings = yaml.safe_load((BUNDLE / "configs" / "train.yaml").read_text())
    checked = 0
    for key, shown in re.findall(r"^\| `(\w+)` \| `?([^`|]+?)`? \|", text, re.MULTILINE):
        default = settings.get(key)
        if isinstance(default, bool | int | float) or default is None or default in ("tiny", "lora"):
            assert yaml.safe_load(shown) == default, key
            checked += 1
    assert checked > 15


def test_the_readmes_python_runs_as_it_stands(tmp_path, monkeypatch):
    if not (SHIPPED / "vessels").is_dir():
        pytest.skip(f"the shipped weights are missing: {SHIPPED / 'vessels'}")
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    for block in _blocks(REPOSITORY / "README.md", "python"):
        exec(block, scope)
    assert scope["result"].vessels.shape == (512, 512)
    assert scope["segments"].adapters == ("vessels", "segments")
    assert (tmp_path / "results" / "angiogram" / "report.html").is_file()
    assert (tmp_path / "my_stage" / "head.safetensors").is_file()
    assert (tmp_path / "models" / "best" / "card.json").is_file()
