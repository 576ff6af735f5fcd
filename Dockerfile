# One image for every service: docker run stockweave <service> --config FILE
ARG GO_IMAGE=golang:1.26

FROM ${GO_IMAGE} AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOWORK=off GOTOOLCHAIN=local
COPY go.mod go.sum ./
# A module proxy or checksum database of your own; the base image's otherwise.
ARG GOPROXY
ARG GOSUMDB
RUN go mod download
COPY . .
ARG VERSION=dev
# The time zones of locations come with the binary: the image has none.
RUN go build -trimpath -tags timetzdata -ldflags "-s -w -X main.version=${VERSION}" -o /out/stockweave ./services/stockweave \
 && mkdir -p /out/var/lib/stockweave /out/etc/stockweave && cp -r policies examples /out/etc/stockweave/ && rm -f /out/etc/stockweave/policies/*.go \
 && chmod -R a+rX /out

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="stockweave" \
      org.opencontainers.image.description="One trustworthy picture of stock, streamed" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/stockweave /stockweave
COPY --from=build /out/etc/stockweave /etc/stockweave
# Where atp keeps its snapshots; a new volume takes the owner over.
COPY --from=build --chown=65532:65532 /out/var/lib/stockweave /var/lib/stockweave
# Where demo and check find their policies and scenario.
WORKDIR /etc/stockweave
USER 65532:65532
# ingest, atp-api, and the admin server of every service.
EXPOSE 8080 8082 9100
ENTRYPOINT ["/stockweave"]
