"""A missing optional package is one sentence with the line that installs it."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib

import pytest

from conftest import REPOSITORY
from hashcore import cli
from hashcore._extras import EXTRAS, MissingExtraError, missing_package, needs, require

NOT_FOR_USERS = {"bench", "dev", "docs", "gpu", "package"}


def test_extras_are_those_of_the_project() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text()
    declared = tomllib.loads(text)["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - NOT_FOR_USERS
    for extra, modules in EXTRAS.items():
        names = {re.split(r"[<>=\[]", requirement)[0] for requirement in declared[extra]}
        assert set(modules.values()) == names, extra


def test_a_package_that_is_there_is_imported() -> None:
    assert require("faiss", extra="faiss").IndexBinaryFlat(64).d == 64


@pytest.mark.parametrize("module", ["faiss", "faiss.contrib.evaluation"])
def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    said = 'the package faiss is missing; pip install "hashcore-search[faiss]"'
    with pytest.raises(MissingExtraError) as caught:
        require(module, extra="faiss")
    assert str(caught.value) == said
    with pytest.raises(MissingExtraError, match=re.escape(said)), needs("faiss"):
        import faiss  # noqa: F401


def test_the_extra_that_was_asked_for_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert (
        missing_package("torch")
        == 'the package torch is missing; pip install "hashcore-search[train]"'
    )
    said = 'the package torch is missing; pip install "hashcore-search[metric-learning]"'

    def command(args: list[str]) -> int:
        require("torch", extra="metric-learning")
        return 0

    monkeypatch.setattr("hashcore.cli.info.main", command)
    assert cli.main(["info"]) == 2
    assert capsys.readouterr().err == f"hashcore: error: {said}\n"


def test_a_broken_part_of_hashcore_is_no_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"hashcore\.nothing") as caught, needs("faiss"):
        importlib.import_module("hashcore.nothing")
    assert not isinstance(caught.value, MissingExtraError)


def test_an_unknown_extra_is_told() -> None:
    with pytest.raises(ValueError, match=r"expected one of cli, .* got fais"):
        require("faiss", extra="fais")
