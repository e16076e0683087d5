"""`reproduce`: everything that a file asks for, and the results written."""

from __future__ import annotations

from pathlib import Path

from hashcore._files import replacing
from hashcore.experiments import charts, page, results
from hashcore.experiments.plan import Experiment
from hashcore.experiments.runner import Runner


def write(experiment: Experiment, runner: Runner, folder: Path, name: str) -> list[Path]:
    """Write what is kept of an experiment: figures as JSON, tables as Markdown, charts.

    Args:
        experiment: what was asked for.
        runner: knows what is kept.
        folder: is made where it is not there.
        name: of the files, before their endings.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = results.rows_of(experiment.cells, runner)
    texts, drawn = {}, {}
    for source in experiment.datasets:
        here = [row for row in rows if row.cell.first.data == source and not row.cell.without]
        drawn[source.name] = f"{name}-{source.name}.svg"
        texts[drawn[source.name]] = charts.retrieval(here)
    texts[f"{name}.json"] = results.document(experiment, rows, runner)
    texts[f"{name}.md"] = page.page(experiment, rows, runner.describe, drawn)
    for file, text in texts.items():
        with replacing(folder / file) as stream:
            stream.write(text.encode())
    return [folder / file for file in texts]
