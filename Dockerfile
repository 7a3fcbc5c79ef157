# Any image of Python 3.11 or newer with pip and ca-certificates.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv --without-pip /app \
    && python -m pip --python /app/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
        --require-hashes --only-binary :all: -r requirements.lock
COPY watcher watcher
# The package is copied, not built: a build would fetch its tools without pinning them.
RUN cp -r watcher "$(/app/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && printf '#!/app/bin/python\nimport sys\n\nfrom watcher.cli import main\n\nsys.exit(main())\n' > /app/bin/watcher \
    && chmod 0755 /app/bin/watcher \
    && /app/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app/lib

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="watcher" \
      org.opencontainers.image.description="Tells you when a CLOVA Studio tuning task starts, ends or gets into trouble" \
      org.opencontainers.image.licenses="MIT"
# Without the CA bundle no TLS connection would be trusted. Slim images have their standard library uncompiled, and on
# a read-only root every start would compile it anew.
RUN test -s /etc/ssl/certs/ca-certificates.crt \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip|site-packages|dist-packages)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && mkdir /etc/watcher \
    && mkdir -m 0700 /data \
    && chown 10001:10001 /data
COPY --from=build /app /app
COPY LICENSE /app/
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    NETRC=/dev/null \
    WATCHER_STORE=sqlite:////data/watcher.db \
    WATCHER_HTTP__HOST=0.0.0.0 \
    WATCHER_HTTP__PORT=8080
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["watcher", "health"]
ENTRYPOINT ["watcher"]
CMD ["run"]
