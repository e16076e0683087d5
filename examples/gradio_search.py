"""Search pictures by words and words by a picture, in a browser, and see which bits match.

    hashcore train --out runs/shapes
    python examples/gradio_search.py runs/shapes

The query rows of the run, which nothing was trained on, are encoded once and put into two indexes:
one of pictures, one of captions. A question is encoded by the same hasher, its nearest codes are
found exactly, and the rows behind their ids are fetched; each stage is timed. Below the hits stand
the bits of the question's code and of theirs. Nothing is asked of the network.

Needs the extras "train" and "app", and a run on pictures with captions, such as the one above.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hashcore
from hashcore.data import CrossModalDataset, load
from hashcore.train import Hasher

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

K = 8
ENLARGED = 6
Codes = NDArray[np.uint8]
Picture = NDArray[np.uint8]  # [H, W, 3]

STYLE = """
.bits { overflow-x: auto; font-size: 13px; }
.bits table { border-collapse: collapse; }
.bits th, .bits td { border: 0 !important; }
.bits th { padding: 2px 12px 2px 0; text-align: left; font-weight: 500; white-space: nowrap; }
.bits td { padding: 2px 0; white-space: nowrap; }
.bits i { display: inline-block; width: 9px; height: 16px; margin-right: 1px; border-radius: 2px;
  border: 1px solid #0072b2; }
.bits i.one { background: #0072b2; }
.bits i.off { border-color: #d55e00; }
.bits i.off.one { background: #d55e00; }
"""


@dataclass(frozen=True)
class Found:
    """What a question found: rows of the data set, their distances and codes, and the times."""

    code: Codes  # [B]
    rows: list[int]
    distances: list[int]
    codes: Codes  # [k, B]
    seconds: dict[str, float]


class Search:
    """The unseen pairs of a run, to be searched both ways."""

    def __init__(self, run: Path) -> None:
        self.hasher = Hasher.load(run / "hasher")
        source = json.loads((run / "run.json").read_text(encoding="utf-8"))["source"]
        self.data: CrossModalDataset = load(source["name"], source["path"], **source["options"])
        if self.data.image_kind != "pixels" or not self.data.captions or not self.hasher.vocabulary:
            raise ValueError(
                f"{run}: expected a run on pictures with captions; {self.data.name} has none. "
                f"hashcore train --out runs/shapes makes one"
            )
        rows = self.data.split.query
        self.codes = {
            "image": self.hasher.encode_database("image", self.data.image[rows], trained=False),
            "text": self.hasher.encode_database("text", self.data.text[rows], trained=False),
        }
        self.indexes = {}
        for name, codes in self.codes.items():
            self.indexes[name] = hashcore.Index(self.hasher.bits)
            self.indexes[name].add(codes, rows)

    def by_text(self, text: str, k: int = K) -> Found:
        """The pictures whose codes are nearest to that of a text.

        Raises:
            ValueError: no words, or words that the hasher never met.
        """
        assert self.hasher.vocabulary is not None
        if not text.strip():
            raise ValueError(f'expected some words, such as "{self.captions(1)[0]}"')
        if unknown := self.hasher.vocabulary.unknown_words(text):
            known = ", ".join(self.hasher.vocabulary.words)
            raise ValueError(f"the hasher never met: {', '.join(unknown)}; it knows: {known}")
        seconds: dict[str, float] = {}
        with timed(seconds, "encode"):
            code = self.hasher.encode_text([text])
        return self._nearest(code, "image", k, seconds)

    def by_picture(self, picture: Picture, k: int = K) -> Found:
        """The captions whose codes are nearest to that of a picture of any size."""
        seconds: dict[str, float] = {}
        with timed(seconds, "encode"):
            side = self.data.image.shape[2:]
            pixels = resized(picture, (side[0], side[1])).transpose(2, 0, 1)
            code = self.hasher.encode_image(np.ascontiguousarray(pixels[None]))
        return self._nearest(code, "text", k, seconds)

    def captions(self, n: int) -> list[str]:
        """The captions of the first unseen rows."""
        return [self.data.captions[row] for row in self.data.split.query[:n]]

    def picture(self, row: int) -> Picture:
        """The picture of a row, [H, W, 3]."""
        return np.ascontiguousarray(self.data.image[row].transpose(1, 2, 0))

    def _nearest(self, code: Codes, modality: str, k: int, seconds: dict[str, float]) -> Found:
        with timed(seconds, "search"):
            result = self.indexes[modality].search(code[0], k)
        with timed(seconds, "fetch"):
            kept = result.ids >= 0
            rows = result.ids[kept]
            codes = self.indexes[modality].get(rows)
        return Found(code[0], rows.tolist(), result.distances[kept].tolist(), codes, seconds)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note how long a stage takes."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture at another size, averaged; one of the right size stays as it is."""
    from PIL import Image

    if picture.shape[:2] == size:
        return picture[..., :3]
    image = Image.fromarray(picture[..., :3])
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BOX))


def bits_table(found: Found, names: Sequence[str], bits: int) -> str:
    """The code of the question above those of its hits, as HTML; what differs is orange."""
    asked = hashcore.unpack(found.code, bits)
    codes = hashcore.unpack(found.codes, bits)
    rows = [_bits_row("the question", asked, asked, bits)]
    rows += [_bits_row(name, code, asked, bits) for name, code in zip(names, codes, strict=True)]
    return f'<div class="bits"><table>{"".join(rows)}</table></div>'


def _bits_row(name: str, code: NDArray[np.int8], asked: NDArray[np.int8], bits: int) -> str:
    same = int((code == asked).sum())
    cells = "".join(
        f'<i class="{"one" if one else "zero"}{"" if one == other else " off"}"></i>'
        for one, other in zip(code.tolist(), asked.tolist(), strict=True)
    )
    said = f"{same} of {bits} bits match"
    head = f'<th scope="row">{escape(name)}<br>{said}</th>'
    return f'<tr>{head}<td role="img" aria-label="{said}">{cells}</td></tr>'


def stages(found: Found, codes: int) -> str:
    """The times of the stages, a line each, in Markdown."""
    lines = [f"| {stage} | {1e3 * s:.2f} |" for stage, s in found.seconds.items()]
    total = 1e3 * sum(found.seconds.values())
    head = ["| stage | ms |", "| :-- | --: |"]
    return "\n".join([*head, *lines, f"| **all, {codes:,} codes** | **{total:.2f}** |"])


class App:
    """The functions behind the page: what is shown for a question."""

    def __init__(self, search: Search) -> None:
        self.search = search

    def pictures(self, text: str) -> tuple[list[tuple[Picture, str]], str, str]:
        """For a text: pictures with their distances, the bits, the times."""
        import gradio as gr

        try:
            found = self.search.by_text(text)
        except ValueError as error:
            raise gr.Error(str(error)) from None
        start = time.perf_counter()
        fetched = [
            (self.search.picture(row), f"{distance} bits away: {self.search.data.captions[row]}")
            for row, distance in zip(found.rows, found.distances, strict=True)
        ]
        found.seconds["fetch"] += time.perf_counter() - start
        shown = [(p.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1), c) for p, c in fetched]
        return shown, *self._below(found)

    def captions(self, picture: Picture | None) -> tuple[list[list[Any]], str, str]:
        """For a picture: captions with their distances, the bits, the times."""
        import gradio as gr

        if picture is None:
            raise gr.Error("expected a picture: take one of the examples, or drop one in")
        found = self.search.by_picture(picture)
        start = time.perf_counter()
        shown = [
            [distance, self.search.data.captions[row]]
            for row, distance in zip(found.rows, found.distances, strict=True)
        ]
        found.seconds["fetch"] += time.perf_counter() - start
        return shown, *self._below(found)

    def _below(self, found: Found) -> tuple[str, str]:
        names = [self.search.data.captions[row] for row in found.rows]
        codes = len(self.search.indexes["image"])
        return bits_table(found, names, self.search.hasher.bits), stages(found, codes)


def build(search: Search) -> Any:
    """The page, a `gradio.Blocks`."""
    import gradio as gr

    app = App(search)
    hasher, data = search.hasher, search.data
    about = (
        f"# Words find pictures, {hasher.bits} bits each\n"
        f"{hasher.method.upper()} on {data.name}: {data.split.query.size:,} pairs it never saw."
    )
    with gr.Blocks(title="hashcore search", analytics_enabled=False) as page:
        gr.Markdown(about)
        with gr.Tab("Words to pictures"):
            text = gr.Textbox(label="Words", value=search.captions(1)[0], submit_btn="Search")
            gr.Examples(search.captions(6), text, cache_examples=False)
            pictures = gr.Gallery(label="Nearest pictures", columns=4, object_fit="contain")
            text_bits, text_times = gr.HTML(label="Bits"), gr.Markdown()
            text_outputs = [pictures, text_bits, text_times]
            text.submit(app.pictures, text, text_outputs, api_name="pictures")
            page.load(app.pictures, text, text_outputs)
        with gr.Tab("A picture to words"):
            picture = gr.Image(label="Picture", type="numpy", image_mode="RGB", height=240)
            shown = [search.picture(int(row)) for row in data.split.query[:6]]
            gr.Examples([[one] for one in shown], picture, cache_examples=False)
            captions = gr.Dataframe(
                headers=["bits away", "caption"], label="Nearest captions", interactive=False
            )
            image_bits, image_times = gr.HTML(label="Bits"), gr.Markdown()
            image_outputs = [captions, image_bits, image_times]
            picture.change(app.captions, picture, image_outputs, api_name="captions")
    return page


def look() -> dict[str, Any]:
    """How the page looks, for `launch`: fonts of the system, so that none is fetched."""
    import gradio as gr

    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return {"theme": theme, "css": STYLE}


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run directory of hashcore train")
    parser.add_argument("--port", type=int, default=7860, help="port on this machine")
    options = parser.parse_args(arguments)
    try:
        page = build(Search(options.run))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    except ModuleNotFoundError as error:
        parser.error(f'{error}; pip install "hashcore-search[train,app]"')
    page.launch(server_name="127.0.0.1", server_port=options.port, share=False, **look())


if __name__ == "__main__":
    main()
