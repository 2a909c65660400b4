# Two images: `docker build -t cryptoliq .` has everything (webserver, daemon, code server, API, app, every command);
# `docker build --target api -t cryptoliq-api .` only serves, and is half as large. No compiler, package index or cache in either.
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/cryptoliq
ENV PATH=/opt/cryptoliq/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 NUMBA_CACHE_DIR=/build/numba
# libgomp: xgboost and scikit-learn run on OpenMP threads.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

FROM build AS build-all
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY cryptoliq_assets ./cryptoliq_assets
# numba knows what it compiled by the path and the content of its source. The demo's road runs every kernel.
RUN pip install --no-deps . \
    && cryptoliq --home /tmp/warm setup --quiet \
    && cryptoliq --home /tmp/warm simulate --coins 60 --days 90 \
    && cryptoliq --home /tmp/warm materialize --train \
    && set -- /tmp/warm/data/raw/*.csv \
    && cryptoliq --home /tmp/warm predict "$1" /tmp/forecasts.csv \
    && rm -rf /tmp/warm /tmp/forecasts.csv \
    && pip uninstall -y setuptools pip

FROM build AS build-api
COPY requirements-serve.txt .
RUN pip install -r requirements-serve.txt \
    && pip uninstall -y setuptools pip
# The same files, in the same place, that the kernels were compiled from.
COPY --from=build-all /opt/cryptoliq/lib/python3.11/site-packages/cryptoliq_assets /opt/cryptoliq/lib/python3.11/site-packages/cryptoliq_assets
COPY --from=build-all /opt/cryptoliq/lib/python3.11/site-packages/cryptoliq-0.1.0.dist-info /opt/cryptoliq/lib/python3.11/site-packages/cryptoliq-0.1.0.dist-info
COPY --from=build-all /opt/cryptoliq/bin/cryptoliq /opt/cryptoliq/bin/cryptoliq

FROM python:3.11-slim AS base
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall -y wheel setuptools pip \
    && useradd --create-home --uid 10001 cryptoliq \
    && install -d -o cryptoliq -g cryptoliq -m 0700 /home/cryptoliq/home /home/cryptoliq/numba
COPY --from=build-all --chown=10001:10001 /build/numba /home/cryptoliq/numba
ENV PATH=/opt/cryptoliq/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CRYPTOLIQ_HOME=/home/cryptoliq/home \
    DAGSTER_HOME=/home/cryptoliq/home/.dagster \
    NUMBA_CACHE_DIR=/home/cryptoliq/numba
WORKDIR /app

FROM base AS api
COPY --from=build-api /opt/cryptoliq /opt/cryptoliq
ENV CRYPTOLIQ_LOGS__DESTINATION=stdout
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, ssl, urllib.request as r; tls = os.environ.get('CRYPTOLIQ_API__TLS_CERT'); r.urlopen(('https' if tls else 'http') + '://127.0.0.1:' + os.environ.get('PORT', '8000') + '/healthz', timeout=4, context=ssl._create_unverified_context() if tls else None)"]
# PORT: what Cloud Run and its like say; CRYPTOLIQ_API__KEYS must be set, or it refuses to start.
CMD ["/bin/sh", "-c", "exec cryptoliq serve --host 0.0.0.0 --port \"${PORT:-8000}\""]

FROM base
COPY --from=build-all /opt/cryptoliq /opt/cryptoliq
COPY workspace.yaml /app/
USER 10001
VOLUME ["/home/cryptoliq/home"]
EXPOSE 3000 4000 8000 8501
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:3000/server_info', timeout=8)"]
# `cryptoliq setup` makes the home and its Dagster instance; then any of:
#   dagster-webserver -h 0.0.0.0 -p 3000 -w workspace.yaml
#   dagster-daemon run -w workspace.yaml
#   dagster code-server start -h 0.0.0.0 -p 4000 -m cryptoliq_assets.definitions
#   cryptoliq serve --host 0.0.0.0 --port 8000
#   cryptoliq app --host 0.0.0.0 --port 8501
#   cryptoliq status
ENTRYPOINT ["/bin/sh", "-c", "cryptoliq setup --quiet && exec \"$@\"", "--"]
CMD ["dagster-webserver", "-h", "0.0.0.0", "-p", "3000", "-w", "workspace.yaml"]
