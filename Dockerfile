# Two images from one file: `web`, which is also the worker of the CPU queue, and `gpu`, the worker that loads models.
#   docker build --target web .        docker build --target gpu .

FROM python:3.11-slim AS web
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The processes run as a user without password and shell, who owns the folder of all state and nothing else.
RUN useradd --system --uid 10001 --home-dir /var/lib/plumbline --shell /usr/sbin/nologin plumbline \
    && install -d -o plumbline -g plumbline /var/lib/plumbline
WORKDIR /srv/plumbline
COPY requirements.txt ./
RUN pip install uv==0.9.30 \
    && uv pip install --system --compile-bytecode --no-cache -r requirements.txt
COPY . .
# Which code this is stands in every run and release, and the image has no git to ask.
ARG BUILD=
RUN if [ -n "$BUILD" ]; then echo "$BUILD" > VERSION; fi && python -m compileall -q annotation config curation workers
ENV PLUMBLINE_VAR=/var/lib/plumbline
USER plumbline
EXPOSE 8000
CMD ["docker/web"]

FROM web AS gpu
USER root
RUN uv pip install --system --compile-bytecode --no-cache -r requirements-gpu.txt
USER plumbline
CMD ["docker/worker", "gpu"]
