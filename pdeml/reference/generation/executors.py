"""Making batches of samples in order: in this process, in several, or on a Dask cluster. Text goes out, numbers return.

A batch is made by one thread of one process from the text of the recipe, so that the arrays do not depend on how many
there are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from pdeml.errors import InputError, RunError
from pdeml.reference.generation.maker import Recipe, Sample

__all__ = ["EXECUTORS", "Batches", "run_batches"]

Batches = Iterator[tuple[int, list[Sample]]]
"""(number of the first sample, samples), in order."""
AHEAD = 2
"""Batches a worker that are under way or wait to be fetched."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def run_batches(
    text: str,
    batches: Iterable[tuple[int, int]],
    executor: str = "processes",
    workers: int = 1,
    scheduler: str | None = None,
) -> Batches:
    """Make batches of samples; close the generator to stop the workers.

    Args:
        text: of the recipe's spec.
        batches: (start, stop) of each, in the order in which they are wanted.
        executor: one of `EXECUTORS`; ``serial`` computes in this process with its threads.
        workers: how many processes.
        scheduler: address of a Dask scheduler; default: a cluster on this machine.
    Raises:
        RunError: a sample cannot be made (the first in order is named), or a worker died.
        InputError: Dask is not installed, or its scheduler cannot be reached.
    """
    return EXECUTORS[executor](text, batches, workers, scheduler)


def _serial(text: str, batches: Iterable[tuple[int, int]], workers: int, scheduler: str | None) -> Batches:
    for start, stop in batches:
        yield start, _parsed(text).samples(start, stop)


def _processes(text: str, batches: Iterable[tuple[int, int]], workers: int, scheduler: str | None) -> Batches:
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)

    def submit(start: int, stop: int) -> Future:
        # The pool starts a process when there is work for it.
        with _modest_children(), _without_main():
            return pool.submit(_make, text, start, stop)

    try:
        yield from _in_order(submit, batches, workers)
    except BrokenProcessPool:
        raise RunError("a worker died, most likely for lack of memory; take fewer workers") from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        # What is still being computed is not wanted any more.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
            child.join()
            _await_reaping(child)


def _await_reaping(child: multiprocessing.process.BaseProcess) -> None:
    """Wait until this process knows that a child has ended: a thread of the pool may have been told in our place."""
    for _ in range(5000):
        if not child.is_alive():
            return
        time.sleep(0.001)


def _dask(text: str, batches: Iterable[tuple[int, int]], workers: int, scheduler: str | None) -> Batches:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("Dask is not installed; pip install 'pdeml[dask]'", ("executor",)) from None
    try:
        if scheduler is not None:
            client = Client(scheduler, timeout="10s", set_as_default=False)
        else:
            with _without_main():
                cluster = LocalCluster(workers, threads_per_worker=1, dashboard_address=None)
            client = Client(cluster, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {scheduler}: {error}", ("scheduler",)) from None
    try:
        count = max(1, sum(client.nthreads().values()))
        submit: Callable[..., Any] = lambda start, stop: client.submit(_make, text, start, stop, pure=False)  # noqa: E731
        yield from _in_order(submit, batches, count)
    finally:
        client.close()
        if scheduler is None:
            cluster.close()


EXECUTORS: dict[str, Callable[..., Batches]] = {"serial": _serial, "processes": _processes, "dask": _dask}


def _in_order(submit: Callable[[int, int], Future], batches: Iterable[tuple[int, int]], workers: int) -> Batches:
    """Keep every worker busy, and hold no more finished batches than `AHEAD` a worker."""
    waiting: deque[tuple[int, Future]] = deque()
    for start, stop in batches:
        waiting.append((start, submit(start, stop)))
        if len(waiting) >= AHEAD * workers:
            number, future = waiting.popleft()
            yield number, future.result()
    while waiting:
        number, future = waiting.popleft()
        yield number, future.result()


@lru_cache(maxsize=1)
def _parsed(text: str) -> Recipe:
    return Recipe.parse(text)


def _make(text: str, start: int, stop: int) -> list[Sample]:
    return _parsed(text).samples(start, stop)


def _follow_parent() -> None:
    """Let this worker end with the main process, however that ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def _modest_children() -> Iterator[None]:
    """Let processes that start inside compute with one thread each, and leave Ctrl-C to this one."""
    former = {name: os.environ.get(name) for name in THREADS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _without_main() -> Iterator[None]:
    """Let processes that start inside not run the script again that called us: nothing in it is needed there.

    Otherwise `multiprocessing` imports the main module by its file or its name, and every script that generates data
    without ``if __name__ == "__main__"`` would start itself again.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if getattr(main, name, None) is not None}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)
