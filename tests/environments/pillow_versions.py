"""Run the golden bytes under several Pillows, each in an environment of its own: a script, no part of the test run.

    python tests/environments/pillow_versions.py [VERSION ...]

The environments hold Pillow, NumPy, msgspec and pytest alone, in the versions of ``constraints.txt`` but for Pillow's.
The exit code is 0 where every version gives the same bytes.
"""

import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = "tests/images/test_golden.py"
VERSIONS = ("11.3.0", "12.3.0", "13.0.0")
OTHERS = ("numpy", "msgspec", "pytest")


def pinned(name: str) -> str:
    """``name==VERSION`` as constraints.txt has it."""
    found = re.search(rf"^{name}==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE | re.IGNORECASE)
    if found is None:
        raise SystemExit(f"constraints.txt has no version of {name}")
    return found.group()


def passes(version: str, folder: Path) -> bool:
    """Whether the golden bytes are this version's, in an environment made in ``folder``."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    needed = [f"pillow=={version}", *map(pinned, OTHERS)]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *needed], check=True)
    # The shared conftest needs packages that these environments lack; the file does not use it.
    options = [
        "-q",
        "--noconftest",
        "-c",
        os.devnull,
        "--rootdir",
        ROOT,
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    print(f"Pillow {version}:", flush=True)
    run = subprocess.run([python, "-m", "pytest", *options, GOLDEN], cwd=ROOT, env=environment, check=False)
    return run.returncode == 0


def main(versions: list[str]) -> int:
    """Exit code 0 where all pass."""
    with tempfile.TemporaryDirectory() as folder:
        found = {version: passes(version, Path(folder, version)) for version in versions or VERSIONS}
    for version, same in found.items():
        print(f"{version}  {'the same bytes' if same else 'OTHER BYTES'}")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
