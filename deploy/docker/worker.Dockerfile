# The proxy worker. From the top of the checkout:
#   docker build --file deploy/docker/worker.Dockerfile --tag sdm-worker .
# Debian 13 has OpenSSL 3.5; the tag stays within one Python and follows its security releases.
FROM python:3.13-slim-trixie AS build
COPY requirements/worker.lock /tmp/
RUN python -m venv /opt/sdm \
    && /opt/sdm/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r /tmp/worker.lock
COPY sdm /opt/sdm/sdm
# The root file system is read-only later.
RUN /opt/sdm/bin/python -m compileall -q /opt/sdm/sdm

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="sdm-worker" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/sdm /opt/sdm
# Where `python -m sdm` finds the package.
WORKDIR /opt/sdm
# The request log, until the control plane has it.
RUN install --directory --owner=65532 --group=65532 --mode=700 /var/lib/sdm-worker
ENV SDM_SPOOL_DIRECTORY=/var/lib/sdm-worker
VOLUME ["/var/lib/sdm-worker"]
# Nobody's number, so that an orchestrator sees that it is not root.
USER 65532:65532
EXPOSE 8443
# It listens when it has joined and has a certificate.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/sdm/bin/python", "-c", "import os, socket; host, _, port = os.environ.get('SDM_BIND_ADDRESS', ':8443').rpartition(':'); socket.create_connection((host.strip('[]') or 'localhost', int(port)), 3).close()"]
ENTRYPOINT ["/opt/sdm/bin/python", "-m", "sdm"]
CMD ["proxy"]
