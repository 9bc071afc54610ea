# redflag as an image: the page, the binary with the page inside, and a small system with nothing but what it links.
#
#   docker build --tag redflag .
#   docker run --rm redflag detector list
#
# Where the same commit must give the same bytes, pin the four bases by digest and Debian by a day, and let BuildKit set the
# times of files:
#
#   docker buildx build --build-arg RUNTIME=debian:bookworm-slim@sha256:... --build-arg DEBIAN_SNAPSHOT=20261101T000000Z \
#     --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --output type=image,name=redflag,rewrite-timestamp=true .
ARG NODE=node:22-bookworm-slim
ARG RUST=rust:1.95.0-bookworm
ARG RUNTIME=debian:bookworm-slim

# The page needs no more than its own folder: a change of Rust does not build it anew.
FROM ${NODE} AS page
WORKDIR /build/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web/ ./
RUN npm run build

# Crates and what was compiled of them stay in caches between builds; nothing of them enters the image.
FROM ${RUST} AS binary
WORKDIR /build
COPY rust-toolchain.toml Cargo.toml Cargo.lock ./
COPY .cargo/ .cargo/
COPY crates/ crates/
COPY detectors/ detectors/
COPY scripts/peers_train.py scripts/
COPY --from=page /build/web/dist/ web/dist/
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --package redflag && cp target/release/redflag /redflag

FROM ${RUNTIME} AS redflag
ARG DEBIAN_SNAPSHOT=""
RUN <<'SH'
set -eu
if [ -n "${DEBIAN_SNAPSHOT:-}" ]; then
  rm -f /etc/apt/sources.list.d/debian.sources
  for suite in debian:bookworm debian-security:bookworm-security; do
    echo "deb [check-valid-until=no] http://snapshot.debian.org/archive/${suite%:*}/$DEBIAN_SNAPSHOT ${suite#*:} main"
  done >/etc/apt/sources.list
fi
apt-get update -qq
# What `ldd redflag` names beyond the base: libssl and libcrypto, libz, libgcc_s; and whom TLS trusts.
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates libgcc-s1 libssl3 zlib1g
apt-get clean
# What differs from one day to the next.
rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/cache/ldconfig/aux-cache
SH
# Nothing is written but the data folder (and nothing there, with Kafka, a bucket for snapshots and PostgreSQL, that is missed).
RUN mkdir -p /var/lib/redflag && chown 10001:10001 /var/lib/redflag && chmod 0750 /var/lib/redflag
COPY --from=binary --chmod=0755 /redflag /usr/local/bin/redflag
ENV REDFLAG_DATA_DIR=/var/lib/redflag
WORKDIR /var/lib/redflag
VOLUME /var/lib/redflag
USER 10001:10001
# It listens on loopback until REDFLAG_LISTEN says otherwise: an image must not open a door by itself.
EXPOSE 8080
# The process answers: an orchestrator that kills what is unhealthy must not kill a long replay. /readyz says whether it decides.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --start-interval=1s --retries=3 CMD ["redflag", "health", "--alive"]
ENTRYPOINT ["redflag"]
CMD ["serve"]
ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="redflag" \
      org.opencontainers.image.description="Real-time fraud detection in one binary" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
