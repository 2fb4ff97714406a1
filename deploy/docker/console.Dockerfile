# The console and the API that workers connect to. From the top of the checkout:
#   docker build --file deploy/docker/console.Dockerfile --tag proxy-clusters-console .
FROM python:3.13-slim-trixie AS build
COPY requirements/console.lock /tmp/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r /tmp/console.lock
COPY . /opt/console
RUN /opt/venv/bin/python -m compileall -q /opt/console \
    && install --directory --owner=65532 --group=65532 --mode=700 /var/lib/console

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="proxy-clusters-console" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/console /opt/console
# A new volume takes over owner and mode.
COPY --from=build --chown=65532:65532 /var/lib/console /var/lib/console
ENV CONSOLE_DATA_DIR=/var/lib/console \
    CONSOLE_LISTEN=0.0.0.0:8000
WORKDIR /opt/console
VOLUME /var/lib/console
USER 65532:65532
EXPOSE 8000 8001
# The first start makes the database; /healthz may take 15 seconds while PostgreSQL is away.
HEALTHCHECK --interval=30s --timeout=20s --start-period=120s --retries=3 \
    CMD ["/opt/venv/bin/python", "-c", "import os, urllib.request; port = os.environ['CONSOLE_LISTEN'].rpartition(':')[2]; urllib.request.urlopen(f'http://127.0.0.1:{port}/healthz', timeout=15)"]
ENTRYPOINT ["/opt/venv/bin/python", "-m", "console"]
