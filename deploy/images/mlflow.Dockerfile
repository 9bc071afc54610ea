# MLflow with what it needs for PostgreSQL and S3; the versions of scripts/mlflow.
ARG PYTHON=python:3.12-slim-bookworm

FROM ${PYTHON} AS mlflow
COPY images/mlflow-requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --no-compile --disable-pip-version-check -r /tmp/requirements.txt
USER 10001:10001
ENV HOME=/tmp PYTHONDONTWRITEBYTECODE=1
EXPOSE 5000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/health', timeout=5)"]
CMD ["python", "-m", "mlflow", "server", "--help"]
