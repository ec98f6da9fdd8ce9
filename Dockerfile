# One image with all programs; the command selects one: psp web (the default), psp migrate,
# psp-jobs worker, psp-jobs scheduler. psp-sandbox is in it for compose.yaml only and is never run in production.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The cache mounts survive builds, so only changed crates are compiled again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    SQLX_OFFLINE=true cargo build --release --locked --workspace --bins && \
    install -D -t /programs target/release/psp target/release/psp-jobs target/release/psp-sandbox

FROM debian:bookworm-slim
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 10001 --no-create-home psp
COPY --from=build /programs/ /usr/local/bin/
USER psp
# The port is PORT (default 8000). Every program stops gracefully on SIGTERM.
EXPOSE 8000
CMD ["psp", "web"]
