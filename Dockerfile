# Two images: `web` (no torch) and `worker` (with torch; the CUDA build where the base image's index gives it).
FROM node:22-slim AS viewer
WORKDIR /viewer
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM python:3.11-slim AS web
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data
WORKDIR /app
RUN useradd --create-home --uid 10001 mitoscope && install -d -o mitoscope /data
COPY constraints.txt ./
COPY webapp/requirements.txt webapp/
RUN pip install --no-cache-dir -r webapp/requirements.txt
COPY --from=viewer /viewer/node_modules node_modules
COPY . .
USER mitoscope
VOLUME /data
EXPOSE 8000
CMD ["sh", "-c", "python manage.py migrate && python manage.py collectstatic --no-input && python manage.py register_weights && python manage.py record_settings && exec gunicorn webapp.wsgi --bind 0.0.0.0:8000 --worker-class webapp.ops.web_worker.WebWorker --workers ${WEB_WORKERS:-2} --threads 4 --timeout 120 --no-control-socket"]

FROM web AS worker
USER root
COPY detector/requirements.txt detector/
RUN pip install --no-cache-dir torch -c constraints.txt && pip install --no-cache-dir -r detector/requirements.txt
USER mitoscope
CMD ["celery", "-A", "worker.app", "worker", "-Q", "detect", "-c", "1", "--loglevel", "INFO"]
