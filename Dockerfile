# The production image has psp and psp-jobs; the command selects what runs: psp web (the default), psp migrate,
# psp-jobs worker, psp-jobs scheduler. The sandbox, which only compose.yaml uses, is a target of its own: building the
# default target neither compiles nor contains it.
#
# Base images have exact versions, here and in compose.yaml, so that a build does not change unasked; raise them with the
# dependencies. Builds that must not trust the registry replace the tags by digests.

FROM node:22.20.0-bookworm-slim AS console
WORKDIR /build/console
COPY console/package.json console/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund
COPY openapi ../openapi
COPY console .
RUN npm run build

FROM rust:1.95.0-slim-bookworm AS source
WORKDIR /build
COPY . .
ENV SQLX_OFFLINE=true

# The cache mounts survive builds, so only changed crates are compiled again. One stage at a time uses the target folder.
FROM source AS build
COPY --from=console /build/console/dist console/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --package psp-dashboard --package psp-jobs --bins && \
    install -D -t /programs target/release/psp target/release/psp-jobs

FROM source AS build-sandbox
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo build --release --locked --package psp-sandbox --bins && \
    install -D -t /programs target/release/psp-sandbox

FROM debian:12.12-slim AS base
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 10001 --no-create-home psp
# By number: Kubernetes (runAsNonRoot) does not resolve names.
USER 10001

FROM base AS sandbox
COPY --from=build-sandbox /programs/ /usr/local/bin/
EXPOSE 9100
CMD ["psp-sandbox", "--host", "0.0.0.0", "--port", "9100"]

# The last stage is the default target.
FROM base AS production
COPY --from=build /programs/ /usr/local/bin/
# The port is PORT (default 8000). Every program stops gracefully on SIGTERM.
EXPOSE 8000
CMD ["psp", "web"]
