# The same image as `make image`, for those who have Docker: docker build -t rekindle:0.1.0 .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile image --locked --bin rekindle --target "$(uname -m)-unknown-linux-gnu" \
 && strip --strip-debug -o /rekindle target/*-unknown-linux-gnu/image/rekindle \
 && cat /usr/share/ca-certificates/mozilla/*.crt > /ca-certificates.crt

FROM scratch
COPY --from=build /rekindle /rekindle
COPY --from=build /ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt MALLOC_ARENA_MAX=2
USER 65532:65532
ENTRYPOINT ["/rekindle"]
