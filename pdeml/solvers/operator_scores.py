"""How good a trained operator is over the parts of its data, and what follows from that: verdict and warnings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pdeml.data.operator import OperatorData
from pdeml.field import Error
from pdeml.linalg.metrics import Scores
from pdeml.nn.operator import Operator
from pdeml.solvers.scoring import score

__all__ = ["error_entries", "judged", "score_parts", "scores_text"]

OVERFITTED = 3.0
"""A test error so many times the training error is worth a warning."""
_FEW = 64  # training samples that are looked at where there are fewer test samples

Plain = Mapping[str, Any]


def score_parts(members: Sequence[Operator], data: OperatorData, size: int) -> dict[str, Scores]:
    """Measure the errors over the test part, the validation part, and as many training samples as there are for tests.

    Args:
        members: the operators; their mean is the prediction.
        data: what was learnt from.
        size: samples of a batch.

    Returns: part -> its errors.
    """
    most = max(len(data.numbers("test")), _FEW)
    parts = {name: data.part(name, most=most if name == "train" else None) for name in ("test", "validation", "train")}
    return {name: score(members, part, size=size) for name, part in parts.items() if part is not None}


def shown_part(scores: Plain) -> str | None:
    """Return the part whose errors count: test, or where there is none validation, else training; of a file all."""
    return next((name for name in ("data", "test", "validation", "train") if name in scores), None)


def error_entries(scores: Plain) -> dict[str, Error]:
    """Return output -> error over the test part (or what stands for it; of another file ``data``)."""
    part = shown_part(scores)
    if part is None:
        return {}
    return {
        name: Error(_number(own, "relative_l2", "mean"), _number(own, "max", "worst"), _number(own, "h1", "mean"))
        for name, own in scores[part]["outputs"].items()
    }


def scores_text(scores: Plain) -> str:
    """Return the errors in words, such as ``test relative L2 1.2e-02 (train 8.3e-03, worst 4.0e-02)``."""
    part = shown_part(scores)
    if part is None:
        return ""
    outputs = scores[part]["outputs"]
    texts = []
    for name, own in outputs.items():
        beside = [f"worst {_number(own, 'relative_l2', 'worst'):.1e}"]
        if part != "train" and "train" in scores:
            beside.insert(0, f"train {_number(scores['train']['outputs'][name], 'relative_l2', 'mean'):.1e}")
        whose = f"{name}: " if len(outputs) > 1 else ""
        texts.append(f"{whose}{part} relative L2 {_number(own, 'relative_l2', 'mean'):.1e} ({', '.join(beside)})")
    return "; ".join(texts)


def judged(scores: Plain) -> tuple[str, tuple[str, ...]]:
    """Return what the errors say of the result: ``"not learnt"`` or nothing, and warnings."""
    part = shown_part(scores)
    if part is None:
        return "", ()
    failed = [*_useless(scores[part])]
    notes = [*failed, *_overfitted(scores)]
    if part != "test":
        where = "validation" if part == "validation" else "training"
        notes.append(f"there is no test part: the errors are those of the {where} samples")
    return "not learnt" if failed else "", tuple(notes)


def _useless(scores: Plain) -> Iterator[str]:
    for name, own in scores["outputs"].items():
        error, baseline = _number(own, "relative_l2", "mean"), own.get("baseline")
        if baseline is not None and not error < baseline:
            yield (
                f"{name}: the error {error:.1e} is no smaller than that of the trivial prediction, {baseline:.1e} "
                "(the last frame again, or the mean of the training outputs)"
            )


def _overfitted(scores: Plain) -> Iterator[str]:
    if not {"test", "train"} <= set(scores):
        return
    for name, own in scores["test"]["outputs"].items():
        error = _number(own, "relative_l2", "mean")
        training = _number(scores["train"]["outputs"][name], "relative_l2", "mean")
        if error > OVERFITTED * training:
            yield (
                f"{name} is over-fitted: the test error is {error / training:.1f} times the training error; more "
                "samples, a smaller operator, more weight_decay or patience may help"
            )


def _number(own: Plain, metric: str, what: str) -> float:
    value = own[metric][what]
    return math.nan if value is None else float(value)
