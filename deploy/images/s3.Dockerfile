# VersityGW: S3 in front of a folder. Built from the Go module of its release, which Go checks against its public checksum
# database; the same version that scripts/check-deploy runs.
ARG GO=golang:1.26-alpine
ARG RUNTIME=alpine:3.22

FROM ${GO} AS binary
ARG VERSITYGW=v1.8.0
RUN CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"

FROM ${RUNTIME} AS s3
COPY --from=binary /go/bin/versitygw /usr/local/bin/versitygw
# Folders below /data are the buckets. A volume takes over what is here, and whose it is.
RUN mkdir -p /data/redflag /data/mlflow && chown -R 10001:10001 /data && chmod 0700 /data
USER 10001:10001
EXPOSE 7070
HEALTHCHECK CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:7070/health"]
CMD ["versitygw", "--help"]
