# Go builds for the target on the machine that builds: no emulation. The binary depends on the version of Go, so name
# that exactly (--build-arg GO_IMAGE=golang:1.26.8) to get the same one again.
ARG GO_IMAGE=golang:1.26
FROM --platform=$BUILDPLATFORM $GO_IMAGE AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG REVISION=
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION} -X main.revision=${REVISION}" -o /image/lock-sidecar ./cmd/lock-sidecar
# The default data directory of every verb is ./data: it leads to the volume, so that no verb needs a flag.
RUN mkdir -m 0700 /image/atlantis && ln -s atlantis /image/data && chown -R 100:1000 /image/atlantis

FROM scratch
ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="lock-sidecar"
LABEL org.opencontainers.image.description="A sidecar that answers Atlantis's locking as its Redis and keeps its BoltDB file"
LABEL org.opencontainers.image.source="https://github.com/lock-sidecar/lock-sidecar"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.version="${VERSION}"
LABEL org.opencontainers.image.revision="${REVISION}"
# For TLS to Redis and to webhooks.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /image/ /
# As Atlantis's own image, because both open the same files.
USER 100:1000
WORKDIR /
VOLUME /atlantis
ENTRYPOINT ["/lock-sidecar"]
CMD ["serve"]
