# One image for every role: docker build -t django_starter . ; deploy/start.sh says which roles there are.
# A read-only root will do: what is written goes to DEV_DIR (/data, a volume or tmpfs) and /tmp.

FROM python:3.13-slim AS packages
WORKDIR /srv/app
COPY requirements.txt .
RUN python -m venv .venv && .venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.txt

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /data app && install -d -o app -g app /data
WORKDIR /srv/app
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 DEV_DIR=/data BIND=0.0.0.0 PORT=8001 LOG_FORMAT=json
COPY --from=packages /srv/app/.venv .venv
COPY manage.py requirements.txt ./
COPY progress progress
COPY tasks tasks
COPY templates templates
COPY django_starter django_starter
COPY deploy/start.sh deploy/healthy.py deploy/
# Compiled here, as the root is read-only later.
RUN .venv/bin/python -m compileall -q progress tasks django_starter
USER 10001
VOLUME /data
EXPOSE 8001 8054
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=40s CMD ["/srv/app/.venv/bin/python", "deploy/healthy.py"]
ENTRYPOINT ["deploy/start.sh"]
CMD ["web"]
