# The server alone: no torch, no workshop. The model folder is not in the image; it is mounted below /models.
FROM python:3.11-slim AS build

WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
RUN python -m venv /opt/facevalue \
 && /opt/facevalue/bin/pip install --no-cache-dir ".[serve,heic]" -c constraints.txt

FROM python:3.11-slim

# A numeric user, so that an orchestrator can see that it is not root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin facevalue
COPY --from=build /opt/facevalue /opt/facevalue
ENV PATH=/opt/facevalue/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

USER 10001:10001
VOLUME /models
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]

# The folder above the model is mounted, not the model itself: a mount follows a folder, not its name, so a model that
# is replaced by renaming would not be seen.
ENTRYPOINT ["facevalue"]
CMD ["serve", "/models/current", "--host", "0.0.0.0", "--port", "8000"]
