# Serves examples/hello.py; a project of your own copies its application in place of it. WEB_CONCURRENCY or --workers say
# how many workers there are; the supervisor is process 1 and reaps what they leave behind.
#
#     docker build -t fastserve .
#     docker run --rm -p 8000:8000 fastserve

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev zlib1g-dev libnghttp2-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:${PYTHON}-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnghttp2-14 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --no-create-home --shell /usr/sbin/nologin fastserve
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --no-index --find-links /wheels fastserve
WORKDIR /application
COPY examples examples
USER fastserve
# In variables, so that arguments of `docker run` count before them. The admin address is for the health check alone.
ENV PYTHONUNBUFFERED=1 FASTSERVE_HOST=0.0.0.0 FASTSERVE_ADMIN=127.0.0.1:9000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9000/readyz', timeout=2)"]
ENTRYPOINT ["fastserve"]
CMD ["examples.hello:app"]
