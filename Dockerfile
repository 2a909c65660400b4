# The pinned set, built once and copied: no compiler and no package index in the image that runs.
FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/cryptoliq
ENV PATH=/opt/cryptoliq/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY pyproject.toml setup.py README.md ./
COPY cryptoliq_assets ./cryptoliq_assets
RUN pip install --no-deps .

FROM python:3.11-slim
# libgomp: xgboost and scikit-learn run on OpenMP threads.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 cryptoliq \
    && install -d -o cryptoliq -g cryptoliq -m 0700 /home/cryptoliq/home /home/cryptoliq/numba
COPY --from=build /opt/cryptoliq /opt/cryptoliq
COPY --chown=cryptoliq:cryptoliq workspace.yaml /app/
ENV PATH=/opt/cryptoliq/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CRYPTOLIQ_HOME=/home/cryptoliq/home \
    DAGSTER_HOME=/home/cryptoliq/home/.dagster \
    NUMBA_CACHE_DIR=/home/cryptoliq/numba
WORKDIR /app
USER cryptoliq
VOLUME ["/home/cryptoliq/home"]
EXPOSE 3000
# `cryptoliq setup` makes the home and its Dagster instance; then any of:
#   dagster-webserver -h 0.0.0.0 -p 3000 -w workspace.yaml     (the UI)
#   dagster-daemon run -w workspace.yaml                       (sensors, schedules, the queue)
#   cryptoliq <command>
ENTRYPOINT ["/bin/sh", "-c", "cryptoliq setup --quiet && exec \"$@\"", "--"]
CMD ["dagster-webserver", "-h", "0.0.0.0", "-p", "3000", "-w", "workspace.yaml"]
