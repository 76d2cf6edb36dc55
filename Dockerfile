# syntax=docker/dockerfile:1
# The image, for those who have Docker or BuildKit:
#
#   docker build -t nuncio .
#   docker buildx build --platform linux/amd64,linux/arm64 -t nuncio .
#
# `make image` makes it without, and the same bytes each time.

# As in rust-toolchain.toml.
ARG RUST=1.95.0

FROM --platform=$BUILDPLATFORM docker.io/library/rust:${RUST}-slim-bookworm AS build
ARG RUST
ARG TARGETARCH
# The image's own toolchain, without the components that rust-toolchain.toml wants for development.
ENV RUSTUP_TOOLCHAIN=${RUST}
RUN apt-get update && apt-get install -y --no-install-recommends \
      binutils ca-certificates cmake g++ gcc make \
      $(case "$(dpkg --print-architecture)/$TARGETARCH" in \
          amd64/arm64) echo g++-aarch64-linux-gnu gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;; \
          arm64/amd64) echo g++-x86-64-linux-gnu gcc-x86-64-linux-gnu libc6-dev-amd64-cross ;; \
        esac) && \
    rm -rf /var/lib/apt/lists/*
RUN case "$TARGETARCH" in \
      amd64) rustup target add x86_64-unknown-linux-gnu ;; \
      arm64) rustup target add aarch64-unknown-linux-gnu ;; \
      *) echo "there is no image for $TARGETARCH" && exit 1 ;; \
    esac
WORKDIR /nuncio
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/nuncio/target,id=nuncio-$TARGETARCH \
    install -D "$(tools/image/binary "$TARGETARCH")" /image/usr/local/bin/nuncio && \
    install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt

FROM scratch
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="nuncio" \
      org.opencontainers.image.source="https://github.com/nuncio/nuncio" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /image /
ENV PATH=/usr/local/bin
USER 65532:65532
EXPOSE 8080 8444 8877
ENTRYPOINT ["/usr/local/bin/nuncio"]
CMD ["run"]
