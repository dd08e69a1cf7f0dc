"""OpenVINO in a process with several threads."""

import subprocess
import sys

import pytest

from facevalue.support.openvino import installed

AT_ONCE = """
import threading
import numpy as np
from facevalue.support.openvino import openvino

ov = openvino()
from openvino import opset13

pixels = opset13.parameter([1, 8, 8, 3], np.uint8)
network = ov.Core().compile_model(ov.Model([opset13.convert(pixels, "f32")], [pixels]), "CPU")
together = threading.Barrier(8)

def run():
    request = network.create_infer_request()
    together.wait()
    request.infer({0: np.ones((1, 8, 8, 3), np.uint8)})

threads = [threading.Thread(target=run) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
"""


@pytest.mark.skipif(not installed(), reason="openvino is not installed")
@pytest.mark.parametrize("attempt", range(4))
def test_the_first_arrays_of_several_threads_do_not_wait_for_each_other(attempt: int) -> None:
    """Without the first array that ``openvino()`` hands over, six of eight of these processes never ended."""
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
