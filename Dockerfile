# Serves examples/hello.py; a project of your own copies its application in place of it.
#
#     docker build -t fastserve .
#     docker run --rm -p 8000:8000 fastserve

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:${PYTHON}-slim
RUN useradd --system --no-create-home --shell /usr/sbin/nologin fastserve
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    python -m pip install --no-cache-dir --no-index --find-links /wheels fastserve
WORKDIR /application
COPY examples examples
USER fastserve
ENV PYTHONUNBUFFERED=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/', timeout=2)"]
ENTRYPOINT ["fastserve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["examples.hello:app"]
