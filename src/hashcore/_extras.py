"""The optional packages: which extra brings which, and what to say where one is missing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# Of each extra: what is imported, and the distribution that brings it.
EXTRAS: dict[str, dict[str, str]] = {
    "cli": {"tyro": "tyro", "tqdm": "tqdm"},
    "train": {
        "torch": "torch",
        "scipy": "scipy",
        "h5py": "h5py",
        "safetensors": "safetensors",
        "tqdm": "tqdm",
    },
    "plot": {"matplotlib": "matplotlib", "jinja2": "jinja2"},
    "backbones": {
        "timm": "timm",
        "open_clip": "open_clip_torch",
        "transformers": "transformers",
        "tokenizers": "tokenizers",
    },
    "faiss": {"faiss": "faiss-cpu"},
    "sklearn": {"sklearn": "scikit-learn", "scipy": "scipy"},
    "metric-learning": {
        "pytorch_metric_learning": "pytorch-metric-learning",
        "torch": "torch",
    },
    "text": {"sentence_transformers": "sentence-transformers"},
    "app": {"gradio": "gradio"},
    "langchain": {"langchain_core": "langchain-core"},
    "ray": {"ray": "ray"},
}


class MissingExtraError(ModuleNotFoundError):
    """A package of an extra is missing; the text says how to install it."""


def pip_install(extra: str) -> str:
    """The line that installs an extra."""
    return f'pip install "hashcore-search[{extra}]"'


def missing_package(name: str, extra: str | None = None) -> str:
    """What to install when a module is not there: one sentence.

    Args:
        name: of the module, as it was imported.
        extra: that brings it; by default the first that does.
    """
    package = name.partition(".")[0]
    if extra is None:
        extra = next((each for each, modules in EXTRAS.items() if package in modules), None)
    said = f"the package {package} is missing"
    return said if extra is None else f"{said}; {pip_install(extra)}"


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Stand around imports of optional packages and say what is missing.

    Example: `with needs("faiss"): import faiss`.

    Args:
        extra: the one of `pyproject.toml` that brings them.

    Raises:
        MissingExtraError: a package is missing; one sentence with the line that installs it.
    """
    if extra not in EXTRAS:
        raise ValueError(f"extra: expected one of {', '.join(EXTRAS)}; got {extra}")
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "hashcore":
            raise
        raise MissingExtraError(missing_package(error.name, extra), name=error.name) from None


def require(module: str, *, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Example: `faiss = require("faiss", extra="faiss")`.

    Args:
        module: its name, as in an import.
        extra: the one of `pyproject.toml` that brings it.

    Raises:
        MissingExtraError: as of `needs`.
    """
    with needs(extra):
        return importlib.import_module(module)
