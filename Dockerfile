# The server alone: no torch, no training. Models are not in the image; their folder is mounted at /models.
FROM python:3.11-slim AS build

WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
# Without pip inside: the image installs nothing later. The bill of materials is made by a tool that stays behind.
RUN python -m venv --without-pip /opt/facevalue \
 && python -m venv /opt/tools \
 && /opt/tools/bin/pip install --no-cache-dir cyclonedx-bom==7.5.0 \
 && /opt/tools/bin/pip --python /opt/facevalue/bin/python install --no-cache-dir ".[serve,heic]" -c constraints.txt \
 && /opt/tools/bin/cyclonedx-py environment --output-file /opt/facevalue/sbom.cdx.json /opt/facevalue/bin/python
# What ONNX Runtime and NumPy need to convert models, to be tested and to be compiled against, but not to run; ONNX
# Runtime once more, for programs in C (35 MB); and the grammars of 500 programming languages, of which nothing here is
# coloured.
RUN cd /opt/facevalue/lib/python3*/site-packages \
 && rm -rf onnxruntime/transformers onnxruntime/tools onnxruntime/quantization onnxruntime/datasets onnxruntime/backend \
           onnxruntime/capi/libonnxruntime.so.* \
           numpy/f2py numpy/distutils numpy/_core/include numpy/_core/lib numpy/random/lib \
 && find pygments/lexers -type f ! -name '__init__.*' ! -name '_mapping.*' ! -name 'python.*' -delete \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' \) -delete

FROM python:3.11-slim

# A numeric user, so that an orchestrator can see that it is not root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin facevalue
COPY --from=build /opt/facevalue /opt/facevalue
ENV PATH=/opt/facevalue/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1
# Python's images have no compiled library, and the user may write none: what the server loads is compiled now.
RUN PYTHONDONTWRITEBYTECODE= python -c "import facevalue.cli, facevalue.serve.app, facevalue.serve.protocol, uvicorn"

USER 10001:10001
VOLUME /models
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]

# The folder above the model is mounted, not the model itself: a mount follows a folder, not its name, so a model that
# is replaced by renaming would not be seen.
ENTRYPOINT ["facevalue"]
CMD ["serve", "/models/current", "--host", "0.0.0.0", "--port", "8000", "--log-format", "json"]
