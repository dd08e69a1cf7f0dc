"""Memory, processors and threads of this machine."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Number = TypeVar("Number", bound="np.generic")
T = TypeVar("T")
R = TypeVar("R")


def keep_memory() -> bool:
    """Tell glibc to keep freed memory instead of returning it to the kernel and asking again.

    PyTorch on CPU frees and allocates large activations all the time; returning each costs about half of its time.
    Does nothing and returns False with another C library, or if the user has set the malloc variables.
    """
    if platform.libc_ver()[0] != "glibc" or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return False
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
    libc = ctypes.CDLL(None)
    # The heap grows in steps of 64 MiB rather than a page at a time.
    settings = ((m_mmap_max, 0), (m_trim_threshold, 2**31 - 1), (m_top_pad, 64 * 2**20))
    return all(libc.mallopt(name, value) for name, value in settings)


def return_memory() -> bool:
    """Tell glibc to return large blocks to the kernel as soon as they are freed, and to share heaps between threads.

    For a process that runs for months and now and then decodes a large photograph: without it the largest ones stay.
    Does nothing, and returns False, where the C library is another or where the user has set the malloc variables.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    m_mmap_threshold, m_arena_max = -3, -8
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(name, value) for name, value in ((m_mmap_threshold, 2**20), (m_arena_max, 2)))


def trim_memory() -> bool:
    """Give what is free in the heap back to the kernel, now; False where the C library is not glibc."""
    return platform.libc_ver()[0] == "glibc" and bool(ctypes.CDLL(None).malloc_trim(0))


def large_array(shape: tuple[int, ...], kind: type[Number]) -> NDArray[Number]:
    """An array of zeros whose memory goes back to the kernel as soon as the array is freed.

    Unlike memory of the C library, which :func:`keep_memory` tells to keep it: in pieces that the next large array may
    not fit into.
    """
    import numpy as np

    size = math.prod(shape) * np.dtype(kind).itemsize
    if not size:
        return np.empty(shape, kind)
    private = {} if os.name == "nt" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    return np.frombuffer(mmap.mmap(-1, size, **private), kind).reshape(shape)


def wait_briefly() -> bool:
    """Tell OpenMP and OpenBLAS, before they are loaded, to let idle threads sleep after less than a millisecond.

    By default they wait in busy loops for several milliseconds after each operation. Where the processors are shared,
    that takes them from threads that have work. Does nothing and returns False if the user has set how they wait.
    """
    if any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT")):
        return False
    # Turns of the loop, and the power of two of clock ticks.
    os.environ.update(GOMP_SPINCOUNT="1000", OPENBLAS_THREAD_TIMEOUT="20")
    return True


CPU_INFO = Path("/proc/cpuinfo")
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""A container's limit: microseconds of processor time (or ``max``) per period, and the period in microseconds."""


def cores() -> int:
    """Processors that this process may use, at least 1: by its affinity and the container's limit."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_MAX.read_text(encoding="utf-8").split()
        found = min(found, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no container, or one without a limit
        pass
    return max(1, found)


MEMORY_INFO = Path("/proc/meminfo")
MEMORY_LIMIT, MEMORY_USED = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
"""A container's limit in bytes, or ``max``, and what it has taken of it."""


def available_memory() -> int | None:
    """Bytes of memory that a process can still take, by the system and the container; ``None`` where neither says."""
    found = []
    with suppress(OSError, ValueError, StopIteration):
        lines = MEMORY_INFO.read_text(encoding="utf-8").splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]))
    with suppress(OSError, ValueError):  # no container, or one without a limit
        limit, used = (int(path.read_text(encoding="utf-8")) for path in (MEMORY_LIMIT, MEMORY_USED))
        found.append(max(0, limit - used))
    return min(found, default=None)


_ARITHMETIC = tuple("avx2 avx512f avx512_vnni avx_vnni avx512_bf16 amx_bf16 amx_int8 asimddp i8mm bf16".split())
"""What a processor may have that changes how 8-bit and bfloat16 numbers are computed, in Linux' words."""


@lru_cache(maxsize=1)
def arithmetic() -> tuple[str, ...]:
    """Which of these this processor has; empty where the system does not say."""
    has = _cpu_fact("flags", "Features").split()  # on x86 and on ARM
    return tuple(name for name in _ARITHMETIC if name in has)


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's name, and what it has for 8-bit and bfloat16 numbers."""
    named = _cpu_fact("model name") or platform.processor() or platform.machine()
    return f"{named} ({' '.join(arithmetic())})" if arithmetic() else named


def _cpu_fact(*names: str) -> str:
    """The first line of ``/proc/cpuinfo`` with one of these names; empty if there is none."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    pairs = ((name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return next((value for name, value in pairs if name in names), "")


def threads() -> int:
    """Threads for arithmetic: the cores, or fewer if ``OMP_NUM_THREADS`` is lower.

    More threads than cores wait for each other in busy loops, which takes many times as long.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(wanted)) if wanted.isdecimal() and int(wanted) else cores()


def in_order(function: Callable[[T], R], items: Iterable[T], ahead: int = 64) -> Iterator[R]:
    """``map`` with threads; results in order, at most ``ahead`` computed in advance, so that memory stays flat."""
    source = iter(items)
    first = list(islice(source, 2))
    if len(first) < 2:  # one needs no threads
        yield from map(function, first)
        return
    with ThreadPoolExecutor(cores()) as pool:
        waiting: deque[Future[R]] = deque(pool.submit(function, item) for item in first)
        try:
            for item in source:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
