# Airflow with redflag in it: its tasks run `redflag retrain`.
ARG AIRFLOW=apache/airflow:3.1.8-python3.12

# hadolint global ignore=DL3006
FROM ${AIRFLOW} AS airflow
COPY --from=redflag /usr/local/bin/redflag /usr/local/bin/redflag
ENV REDFLAG_DATA_DIR=/var/lib/redflag-retraining
HEALTHCHECK CMD ["airflow", "version"]
USER root
RUN mkdir -p /var/lib/redflag-retraining && chown 50000:0 /var/lib/redflag-retraining
USER 50000:0
