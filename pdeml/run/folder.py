"""The run directory: its files, whose it is, and when it may be continued or replaced."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pdeml.errors import FileFormatError, InputError, RunError
from pdeml.files import TEMPORARY_SUFFIX, atomic_json, sweep_temporaries

__all__ = ["HEADER", "RunFolder", "finite", "read_json"]

HEADER = "# Resolved by pdeml; `pdeml train` on this file repeats the run."
CHECKPOINT_FORMAT, SUMMARY_FORMAT = "checkpoint/1", "run/1"
_PICTURES = ("fields.png", "history.png", "frequencies.png", "worst.png", "spectrum.png", "rollout.png")
_FILES = ("summary.json", "metrics.jsonl", "fields.h5", "prediction.h5", *_PICTURES)
_CHECKPOINT_FILES = ("state.safetensors", "checkpoint.json")
_MAX_JSON = 2**26

Kind = Literal["absent", "empty", "run", "foreign"]


@dataclass(frozen=True)
class RunFolder:
    """A folder of one run: ``spec.yaml``, ``metrics.jsonl``, ``checkpoint/``, ``fields.h5``, ``summary.json``, ...

    ``summary.json`` is written last: where it is, the run is finished.
    """

    path: Path

    @property
    def spec(self) -> Path:
        """The resolved spec."""
        return self.path / "spec.yaml"

    @property
    def metrics(self) -> Path:
        """One JSON line a step."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The folder of the training state."""
        return self.path / "checkpoint"

    @property
    def state(self) -> Path:
        """The training state."""
        return self.checkpoint / "state.safetensors"

    @property
    def facts(self) -> Path:
        """What made the checkpoint: format, kind, versions, seconds."""
        return self.checkpoint / "checkpoint.json"

    @property
    def fields(self) -> Path:
        """The solution on the export grid."""
        return self.path / "fields.h5"

    @property
    def picture(self) -> Path:
        """The picture of the fields."""
        return self.path / "fields.png"

    @property
    def history(self) -> Path:
        """The picture of loss and error."""
        return self.path / "history.png"

    @property
    def frequencies(self) -> Path:
        """The spectrum that a Gaussian process has learnt."""
        return self.path / "frequencies.png"

    @property
    def worst(self) -> Path:
        """The picture of the test sample that an operator gets most wrong."""
        return self.path / "worst.png"

    @property
    def spectrum(self) -> Path:
        """The picture of an operator's error over wave numbers."""
        return self.path / "spectrum.png"

    @property
    def rollout(self) -> Path:
        """The picture of the error over time, of an operator that goes on in time."""
        return self.path / "rollout.png"

    @property
    def summary(self) -> Path:
        """Errors, residuals, verdict."""
        return self.path / "summary.json"

    @property
    def is_finished(self) -> bool:
        """Whether the run went to its end."""
        return self.summary.is_file()

    @property
    def kind(self) -> Kind:
        """What stands at the path.

        Raises:
            InputError: a file stands there, or the folder cannot be read.
        """
        if not self.path.exists():
            above = next((folder for folder in self.path.absolute().parents if folder.exists()), self.path)
            if not above.is_dir():
                raise InputError(f"{self.path}: {above.name} is a file; give a folder")
            return "absent"
        if not self.path.is_dir():
            raise InputError(f"{self.path} is a file; give a folder")
        try:
            if not any(self._is_left(entry) for entry in self.path.iterdir()):
                return "empty"
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}") from None
        return "run" if self._is_ours() else "foreign"

    def check_free(self, resume: bool, overwrite: bool) -> None:
        """Refuse to begin where something stands that is not to be continued or replaced.

        Raises:
            InputError: naming what to add.
        """
        kind = self.kind
        if kind == "foreign":
            names = sorted(entry.name for entry in self.path.iterdir())
            listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            raise InputError(
                f"{self.path} holds {listed} and is no run of pdeml, so nothing there is touched; "
                "give another folder with --out DIR"
            )
        if kind == "run" and not (resume or overwrite):
            what = "a finished" if self.is_finished else "an unfinished"
            raise InputError(
                f"{self.path} holds {what} run; add --resume to continue it, --overwrite to replace it, "
                "or --out DIR for another folder"
            )

    def create(self) -> None:
        """Make the folder, and sweep what killed processes left.

        Raises:
            RunError: the disk refuses.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for folder in (self.path, self.checkpoint):
                if folder.is_dir():
                    sweep_temporaries(folder)
        except OSError as error:
            raise RunError(f"cannot create {self.path}: {error.strerror}") from error

    def clear(self) -> None:
        """Remove the files of a run, and only these: ``summary.json`` first.

        ``spec.yaml`` stays, to be replaced: by it the folder is known as a run, also if this process is killed.

        Raises:
            RunError: the disk refuses.
        """
        first, *rest = (self.path / name for name in _FILES)
        try:
            for file in (first, *(self.checkpoint / name for name in _CHECKPOINT_FILES), *rest):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"cannot remove {error.filename}: {error.strerror}") from error

    def discard(self) -> None:
        """Remove a run that came to nothing: its files, and its folders where they hold nothing else."""
        self.clear()
        with suppress(OSError):
            self.spec.unlink(missing_ok=True)
            self.checkpoint.rmdir()
            self.path.rmdir()

    def read_summary(self) -> dict[str, Any]:
        """Return what ``summary.json`` holds.

        Raises:
            FileFormatError: it is missing or damaged.
        """
        return read_json(self.summary)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``; numbers that are not finite become null."""
        atomic_json(self.summary, finite({"pdeml_format": SUMMARY_FORMAT, **summary}))

    def write_facts(self, facts: dict[str, Any]) -> None:
        """Write what made the checkpoint."""
        self.checkpoint.mkdir(exist_ok=True)
        atomic_json(self.facts, {"pdeml_format": CHECKPOINT_FORMAT, **facts})

    def read_facts(self) -> dict[str, Any]:
        """Return what made the checkpoint; nothing where that is not known."""
        return read_json(self.facts) if self.facts.is_file() else {}

    def _is_left(self, entry: Path) -> bool:
        """Whether an entry is more than what a killed or failed start leaves: temporaries, an empty ``checkpoint``."""
        if entry == self.checkpoint and entry.is_dir():
            return any(self._is_left(part) for part in entry.iterdir())
        return not entry.name.endswith(TEMPORARY_SUFFIX)

    def _is_ours(self) -> bool:
        with suppress(OSError, UnicodeDecodeError), self.spec.open(encoding="utf-8") as file:
            if file.readline(1000).rstrip("\n") == HEADER:
                return True
        with suppress(FileFormatError):
            return {"verdict", "residuals", "versions"} <= read_json(self.summary).keys()
        with suppress(FileFormatError):
            return read_json(self.facts).get("pdeml_format") == CHECKPOINT_FORMAT
        return False


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON mapping.

    Raises:
        FileFormatError: it is missing, damaged, or no mapping.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise FileFormatError(f"{path}: is larger than {_MAX_JSON // 2**20} MiB")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise FileFormatError(f"{path}: is not valid JSON; is it damaged?") from None
    if not isinstance(value, dict):
        raise FileFormatError(f"{path}: does not hold a mapping; is it damaged?")
    return value


def finite(value: Any) -> Any:
    """Return plain values with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
