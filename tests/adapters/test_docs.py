from __future__ import annotations

import re
from pathlib import Path

import pytest

from monai_lora_sam.adapters import budget_table, format_budget

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page() -> str:
    return (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")


def test_examples_run_in_their_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, scope)
    assert sorted(scope["stack"].names) == ["vessels"]
    assert sorted(scope["versions"].names) == ["segments_v1", "segments_v2", "vessels"]
    assert {path.name for path in (tmp_path / "adapters").iterdir()} == {"vessels", "segments"}


def test_the_table_is_as_printed(page):
    assert format_budget(budget_table()) in page


def test_the_tests_it_names_exist(page):
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"\btest_\w+(?=`)", page))
    assert len(named) > 15
    assert {name for name in named if f"def {name}(" not in sources} == set()
