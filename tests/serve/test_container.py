"""The container's recipe, as far as it can be checked without building it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from .conftest import serving, until
from .test_predict import huge_png

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    joined = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_copied_files_exist_and_are_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [shlex.split(rest)[:-1] for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    sources = {source.removeprefix("./") for sources in copied for source in sources}
    assert sources == kept
    for source in sources:
        assert (ROOT / source).exists(), source


def test_the_runtime_alone_as_an_ordinary_user() -> None:
    found = instructions()
    installs = [rest for name, rest in found if name == "RUN" and "pip install" in rest]
    assert len(installs) == 1
    assert re.search(
        r'/opt/facevalue/bin/python install --no-cache-dir "\.\[serve,heic\]" -c constraints\.txt', installs[0]
    )
    last_stage = found[max(i for i, (name, _) in enumerate(found) if name == "FROM") :]
    (user,) = [rest for name, rest in last_stage if name == "USER"]
    assert user.split(":")[0].isdigit()
    assert int(user.split(":")[0]) > 0


def test_the_command_is_one_that_the_command_line_knows() -> None:
    from facevalue.cli.serve import run

    found = dict(instructions())
    assert json.loads(found["ENTRYPOINT"]) == ["facevalue"]
    verb, folder, *options = json.loads(found["CMD"])
    assert verb == "serve"
    assert Path(folder).parent == Path(found["VOLUME"])
    assert {option.removeprefix("--").replace("-", "_") for option in options[::2]} <= set(run.__annotations__)
    assert options[options.index("--port") + 1] == found["EXPOSE"]


def test_compose_matches_the_image() -> None:
    found = dict(instructions())
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    assert service["read_only"] is True
    assert service["volumes"][0].endswith(f":{found['VOLUME']}:ro")
    assert service["ports"][0].endswith(f":{found['EXPOSE']}")
    assert service["healthcheck"]["test"][1:] == json.loads(found["HEALTHCHECK"].partition("CMD")[2])


def test_deployment_and_compose_agree_with_the_image() -> None:
    found = dict(instructions())
    deployment, service = yaml.safe_load_all((ROOT / "deploy" / "kubernetes" / "facevalue.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsUser"] == int(found["USER"].split(":")[0])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["args"] == json.loads(found["CMD"])
    (port,) = container["ports"]
    assert str(port["containerPort"]) == found["EXPOSE"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert container["resources"]["limits"]["memory"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert (
        deployment["spec"]["selector"]["matchLabels"].items()
        <= deployment["spec"]["template"]["metadata"]["labels"].items()
    )
    from facevalue.serve import Settings

    assert pod["terminationGracePeriodSeconds"] > Settings().grace_seconds + 5
    assert container["image"] == f"facevalue:{metadata.version('facevalue')}"


def expressions() -> list[tuple[str, str]]:
    """All PromQL of the dashboard and the alerts, each with the text that shows its labels."""
    monitoring = ROOT / "deploy" / "monitoring"
    dashboard = json.loads((monitoring / "grafana.json").read_text())
    alerts = yaml.safe_load((monitoring / "alerts.yaml").read_text())
    asked = [
        (target["expr"], target["legendFormat"].replace("{{", "$labels.").replace("}}", " "))
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    return [*asked, *((rule["expr"], " ".join(rule["annotations"].values())) for rule in rules)]


def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_there_are(folder: Path, another: Path, lfw: Path) -> None:
    image = (lfw / "face" / "face-000.png").read_bytes()
    with serving(folder, another, request_seconds=0.2) as client:
        for name in (folder.name, another.name):
            assert client.post(f"/models/{name}/predict", files={"files": image}).status_code == 200
        assert client.post("/predict", files={"files": huge_png(7_000, 7_000)}).status_code == 503
        assert client.post("/predict", files={"files": b"text"}).status_code == 422
        until(lambda: "facevalue_accuracy_estimate{" in client.get("/metrics").text)
        text = client.get("/metrics").text
    labels: dict[str, set[str]] = {}
    for name, inside in re.findall(r"^(\w+)(?:{(.*)})? ", text, re.MULTILINE):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    for expression, shown in expressions():
        names = re.findall(r"facevalue_\w+", expression)
        assert names, expression
        assert set(names) <= set(labels), expression
        assert expression.count("(") == expression.count(")")
        has = set().union(*(labels[name] for name in names)) | {"instance"}
        by = {label.strip() for part in re.findall(r"by \(([^)]*)\)", expression) for label in part.split(",")}
        matched = set(re.findall(r'(\w+)=~?"', expression))
        assert by | matched <= has, expression
        # Of what is summed, only the labels that it is summed by are left.
        left = by if by or expression.startswith(("sum(", "histogram_quantile")) else has
        assert set(re.findall(r"\$labels\.(\w+)", shown)) <= left, (expression, shown)


def test_the_estimate_of_accuracy_is_marked_as_one() -> None:
    dashboard = json.loads((ROOT / "deploy" / "monitoring" / "grafana.json").read_text())
    asked = {target["expr"]: panel for panel in dashboard["panels"] for target in panel["targets"]}
    panels = [panel for expression, panel in asked.items() if "accuracy_estimate" in expression]
    assert panels
    for panel in panels:
        assert "estimate" in panel["title"]
        assert "not a measurement" in panel["title"]
    assert any("drift_alarm_by_statistic" in expression for expression in asked)


def test_the_server_s_extra_and_base_hold_no_torch() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    assert not [name for name in names if re.match(r"torch|timm|pandas|scikit|onnx\b|facevalue", name)]
    assert any(name.startswith("onnxruntime") for name in names)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, unpacked: what an image holds, without what is only in the repository."""
    pytest.importorskip("setuptools", minversion="80")
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, out], cwd=tree, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def test_the_wheel_serves_its_page_without_torch(installed: Path, folder: Path) -> None:
    program = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "timm", "pandas", "scipy", "sklearn", "onnx", "matplotlib", "pyarrow"}:
            raise ImportError(f"{name} is not in the image")
sys.meta_path.insert(0, Blocked())
sys.path.insert(0, sys.argv[1])
import facevalue.cli, facevalue.serve.start
from facevalue.serve.app import create_app, STATIC
assert str(STATIC).startswith(sys.argv[1]), STATIC
create_app(sys.argv[2]).state.service.refresh()
print(*sorted(path.name for path in STATIC.iterdir()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, installed, folder], capture_output=True, text=True, cwd=installed
    )
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (ROOT / "src" / "facevalue" / "web" / "static").iterdir())
    assert done.stdout.split() == names
