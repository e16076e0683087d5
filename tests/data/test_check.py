from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashcore.data import DatasetFileError, Finding, check_prepared, open_source, prepare

N, TRAIN, QUERY = 60, np.arange(0, 30), np.arange(40, 60)
DATABASE = np.arange(10, 40)


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.random((N, 6)).astype(np.float32),
        "text": rng.integers(0, 1000, (N, 5)),
        "labels": rng.integers(0, 2, (N, 3)),
        "train": TRAIN,
        "query": QUERY,
        "database": DATABASE,
    }


def prepared(folder: Path, content: dict[str, Any]) -> Path:
    np.savez(folder / "own.npz", **content)
    prepare(open_source("arrays", folder / "own.npz"), folder / "out", loader="arrays")
    return folder / "out"


def brute_force(content: dict[str, Any]) -> dict[str, int]:
    """Counts by kind, by comparing every pair of rows."""
    searched = sorted({*TRAIN.tolist(), *DATABASE.tolist()})
    image, text = content["image"], content["text"]
    same: dict[str, Callable[[int, int], bool]] = {
        "images": lambda a, b: bool((image[a] == image[b]).all()),
        "texts": lambda a, b: bool((text[a] == text[b]).all()),
    }
    same["pairs"] = lambda a, b: same["images"](a, b) and same["texts"](a, b)
    counts: dict[str, int] = {}
    for kind, equal in same.items():
        counts[f"leaked-{kind}"] = sum(any(equal(q, r) for r in searched) for q in QUERY.tolist())
        counts[f"duplicate-{kind}"] = sum(
            any(equal(row, before) for before in rows[:i])
            for rows in (searched, QUERY.tolist())
            for i, row in enumerate(rows)
        )
    return {kind: count for kind, count in counts.items() if count}


def counts_of(findings: list[Finding]) -> dict[str, int]:
    return {str(finding.kind): finding.count for finding in findings}


def test_a_clean_set_has_no_findings(tmp_path: Path) -> None:
    manifest, findings = check_prepared(prepared(tmp_path, arrays()))
    assert findings == []
    assert manifest.counts["pairs"] == N


def test_what_was_planted_is_found(tmp_path: Path) -> None:
    content = arrays()
    for key, twins in (
        ("image", [(45, 3), (46, 3), (52, 51), (39, 12)]),
        ("text", [(45, 3), (50, 33), (7, 6), (8, 6)]),
    ):
        for row, before in twins:
            content[key][row] = content[key][before]
    _, findings = check_prepared(prepared(tmp_path, content))
    assert counts_of(findings) == {
        "leaked-pairs": 1,
        "leaked-images": 2,
        "leaked-texts": 2,
        "duplicate-images": 3,  # 46 as 45, 52 as 51, 39 as 12
        "duplicate-texts": 2,
    }
    texts = {finding.kind: finding.text for finding in findings}
    assert texts["leaked-pairs"] == (
        "1 query rows have the same pair as a training or database row; first: row 45 as row 3"
    )
    assert texts["duplicate-texts"].endswith("first: row 7 as row 6")


@pytest.mark.parametrize("seed", range(5))
def test_as_comparing_every_pair_of_rows(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = arrays()
    content["image"] = rng.integers(0, 9, (N, 2)).astype(np.float32)
    content["text"] = rng.integers(0, 6, (N, 2))
    _, findings = check_prepared(prepared(tmp_path, content))
    found = counts_of(findings)
    assert found == brute_force(content)
    assert len(found) >= 4


def test_a_row_in_no_part_is_not_compared(tmp_path: Path) -> None:
    content = arrays()
    content["database"] = np.arange(10, 35)
    content["image"][50] = content["image"][37]
    assert check_prepared(prepared(tmp_path, content))[1] == []


def test_query_rows_that_are_trained_on(tmp_path: Path) -> None:
    """Not what `prepare` can write: the row ids and the manifest are changed by hand."""
    content = arrays()
    out = prepared(tmp_path, content)
    np.save(out / "query.npy", np.array([29, 35, *range(42, 60)]))
    with pytest.raises(DatasetFileError, match="1 query rows are also train rows"):
        open_source("prepared", out)
    _, findings = check_prepared(out)
    assert [finding.kind for finding in findings] == ["damage"]
    trust(out)
    _, findings = check_prepared(out)
    assert counts_of(findings) == {"shared-rows": 2}
    assert "2 query rows are also training or database rows; first: [29, 35]" in findings[0].text


def trust(out: Path) -> None:
    """Let the manifest state the hashes of the files as they are."""
    path = out / "manifest.json"
    document = json.loads(path.read_text())
    for name, record in document["files"].items():
        content = (out / name).read_bytes()
        record |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(document))


def test_damage(tmp_path: Path) -> None:
    out = prepared(tmp_path, arrays())
    content = bytearray((out / "image.npy").read_bytes())
    content[-5] ^= 1
    (out / "image.npy").write_bytes(content)
    (out / "text.npy").unlink()
    _, (finding,) = check_prepared(out)
    assert (finding.kind, finding.count) == ("damage", 2)
    assert finding.text == (
        "image.npy does not have the sha256 of the manifest; text.npy is missing"
    )
    (out / "manifest.json").unlink()
    with pytest.raises(DatasetFileError, match=r"manifest\.json: no such file"):
        check_prepared(out)


def test_a_split_that_is_not_the_one_of_the_manifest(tmp_path: Path) -> None:
    out = prepared(tmp_path, arrays())
    np.save(out / "query.npy", np.arange(42, 60))
    trust(out)
    _, (finding,) = check_prepared(out)
    assert finding.kind == "damage"
    assert "the split is not the one of manifest.json" in finding.text


def test_progress_counts_bytes_to_the_end(tmp_path: Path) -> None:
    out = prepared(tmp_path, arrays())
    seen: list[tuple[int, int]] = []
    check_prepared(out, lambda done, total: seen.append((done, total)))
    assert [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert seen[-1][0] > 0.95 * seen[-1][1]
