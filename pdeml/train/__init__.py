"""Training: one loop, what watches it, and checkpoints."""

from pdeml.train.callbacks import (
    Checkpointer,
    Interruption,
    LogProgress,
    MetricsFile,
    RichProgress,
    read_metrics,
)
from pdeml.train.checkpoint import STATE_FILE, load_state, save_state
from pdeml.train.collocation import CollocationTask, Phase, Schedule
from pdeml.train.loop import ENDED, Callback, Event, Limits, Outcome, Trainable, TrainState, train

__all__ = [
    "ENDED",
    "STATE_FILE",
    "Callback",
    "Checkpointer",
    "CollocationTask",
    "Event",
    "Interruption",
    "Limits",
    "LogProgress",
    "MetricsFile",
    "Outcome",
    "Phase",
    "RichProgress",
    "Schedule",
    "TrainState",
    "Trainable",
    "load_state",
    "read_metrics",
    "save_state",
    "train",
]
