# Three images: `web` (no torch), `worker` (with torch: TORCH_BACKEND=cpu, or cu126 and the like for a GPU), `backup` (with pg_dump).
FROM node:22-slim AS viewer
WORKDIR /viewer
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM python:3.11-slim-trixie AS web
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data
WORKDIR /app
RUN useradd --create-home --uid 10001 mitoscope && install -d -o mitoscope /data
COPY webapp/requirements.lock webapp/
RUN pip install --no-cache-dir --require-hashes -r webapp/requirements.lock
COPY --from=viewer /viewer/node_modules node_modules
COPY . .
USER mitoscope
VOLUME /data
EXPOSE 8000
CMD ["sh", "-c", "python manage.py prepare && exec gunicorn webapp.wsgi --bind 0.0.0.0:8000 --worker-class webapp.ops.web_worker.WebWorker --workers ${WEB_WORKERS:-2} --threads 4 --timeout 120 --no-control-socket"]

FROM web AS worker
USER root
ARG TORCH_BACKEND=cpu
RUN pip install --no-cache-dir --require-hashes -r detector/requirements.lock \
    && uv pip install --system --no-cache --torch-backend=$TORCH_BACKEND torch -c constraints.txt
USER mitoscope
CMD ["celery", "-A", "worker.app", "worker", "-Q", "detect", "-c", "1", "--loglevel", "INFO"]

# Debian's client is of the same version as the server in docker-compose.yml: another one refuses to dump it.
FROM web AS backup
USER root
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-client-17 && rm -rf /var/lib/apt/lists/* \
    && install -d -o mitoscope /backups
USER mitoscope
VOLUME /backups
ENTRYPOINT ["python", "manage.py"]
CMD ["backup", "/backups"]
