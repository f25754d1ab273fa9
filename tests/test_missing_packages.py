"""Tests of the rule that continuous integration skips nothing for a missing package."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
    import pytest

    def test_package():
        pytest.importorskip("no_such_package")

    @pytest.mark.skipif(True, reason="no_such_program is not installed")
    def test_program():
        pass

    def test_data():
        pytest.skip("real images are missing: /nowhere")
"""


@pytest.mark.parametrize(
    ("variable", "counts"),
    [("true", {"failed": 1, "errors": 1, "skipped": 1}), ("", {"skipped": 3})],
)
def test_skip_for_a_missing_package(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, variable: str, counts: dict[str, int]
) -> None:
    monkeypatch.setenv("CI", variable)
    (pytester.path / "conftest.py").write_text(
        (Path(__file__).parent / "conftest.py").read_text("utf-8"), "utf-8"
    )
    pytester.makepyfile(textwrap.dedent(TESTS))
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(**counts)


def test_file_of_tests_with_a_missing_package(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    (pytester.path / "conftest.py").write_text(
        (Path(__file__).parent / "conftest.py").read_text("utf-8"), "utf-8"
    )
    pytester.makepyfile("import pytest\npytest.importorskip('no_such_package')\n")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(errors=1)


@pytest.mark.parametrize("package", ["bitsandbytes", "nnunetv2", "highdicom", "pycocotools"])
def test_packages_of_the_extras_can_be_imported(package: str) -> None:
    assert pytest.importorskip(package)
