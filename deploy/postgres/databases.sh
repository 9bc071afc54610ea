#!/usr/bin/env bash
# The first start of PostgreSQL: for each program a user of its own and a database that only this user may enter.
set -euo pipefail

for program in redflag mlflow airflow; do
  # The password comes by a variable of psql, quoted by psql, so it is on no command line and in no log.
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
\\set password \`cat "${SECRETS:-/run/secrets}/${program}_password"\`
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
CREATE USER $program PASSWORD :'password';
CREATE DATABASE $program OWNER $program;
REVOKE ALL ON DATABASE $program FROM PUBLIC;
SQL
done
