"""What all tests share."""

import gc
import os
import re
import signal

# One thread a worker, set before torch and OpenMP start. Threads that wait for each other on fewer cores than there are
# threads made the tests of the networks eight times slower.
os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

# Libraries and collected tests are a million objects that stay. Looking through them for garbage as often as Python
# does by default took a tenth of the time.
gc.set_threshold(20_000, 20, 20)

# What runs in the background of a shell ignores Ctrl-C, and so would the processes whose Ctrl-C is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every run, and no deadline: the machines that run this differ tenfold.
settings.register_profile("facevalue", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("facevalue")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The scan cache of the tests and of the processes they start is a temporary folder, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEVALUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """For processes that may write only small files: coverage's data of them would be cut off and damage the rest."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images and weights for measuring; tests that ask for it carry the marker ``data``."""
    folder = Path(os.environ.get("FACEVALUE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder}; set FACEVALUE_DATA to where they are")
    return folder


@pytest.fixture(scope="session")
def lfw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded set: 100 faces, 100 non-faces, one folder per class."""
    from facevalue.data.embedded import write_lfw_subset

    return write_lfw_subset(tmp_path_factory.mktemp("embedded") / "lfw")


@pytest.fixture
def notes() -> Iterator[list[str]]:
    """The notes that a user would see while the test runs."""
    from facevalue.support import progress

    told: list[str] = []

    class Notes(progress.Silent):
        def note(self, text: str) -> None:
            told.append(text)

    with progress.using(Notes()):
        yield told


@pytest.fixture
def image() -> Callable[[Path, int], Path]:
    """Write an image made from a seed: smooth, so that it survives resizing and JPEG as photographs do."""

    def write(path: Path, seed: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC).save(path)
        return path

    return write


@pytest.fixture
def fill(image: Callable[[Path, int], Path]) -> Callable[..., Path]:
    """Write ``n`` different images into each of the folders named below a root."""

    def write(root: Path, *folders: str, n: int = 8, first: int = 0) -> Path:
        for i, folder in enumerate(folders):
            for j in range(n):
                image(root / folder / f"p{j:02}.png", first + 1000 * i + j)
        return root

    return write


# Reasons for skipping that are accepted where CI is set. Any other reason would hide a missing browser or package.
MAY_BE_SKIPPED = re.compile(
    "the real images are not at|mounting a small file system is not permitted|root may write|there is no /dev/full"
    "|needs litert-torch, which does not fit"
    "|pillow-heif is installed|this file system does not tell|open files are listed by Linux alone"
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where ``CI`` is set, a skipped test is a failed one, unless its reason is of those above."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not MAY_BE_SKIPPED.search(reason):
            report.outcome = "failed"
            report.longrepr = f"CI is set, so nothing is skipped without a known reason; the reason here: {reason}"
    return report


def pytest_collection_finish() -> None:
    """What is there before the first test stays until the end, so no collection of garbage looks at it."""
    gc.collect()
    gc.freeze()


LONGEST = ("test_readme.py", "test_bad_input.py", "test_windows.py", "test_hub.py", "test_library.py")
"""Files whose tests take ten seconds and more. They come first: a worker that began one as the last of all would leave
the other one idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses the real images must say so, so that it can be left out by name."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()) and item.get_closest_marker("data") is None:
            raise pytest.UsageError(f"{item.nodeid} uses shared_data but lacks the marker data")
