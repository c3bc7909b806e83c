# Contains one static program and nothing else. `make image` builds it (see image/build) from a context with <architecture>/colocate.
FROM scratch

ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="colocate" \
      org.opencontainers.image.description="Keeps stateful pods next to their data: a Kubernetes admission server that sets the storage driver's scheduler" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="scratch" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Set by the builder for each platform.
ARG TARGETARCH
COPY ${TARGETARCH}/colocate /colocate

# Numeric, because the kubelet cannot verify that a named user is not root. Any other user works too, as on OpenShift.
USER 65532:65532

# glibc returns freed blocks of at least this size to the system immediately. If unset, the threshold grows with the largest freed block, up to
# 32 MB. After 200 concurrent objects of 17 MB with 32 threads, 201 MB stayed resident without this setting, and 100 MB with it.
ENV GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072

# 8443 serves admission reviews, and 8080 serves /livez, /readyz and /metrics. The configuration file is mounted (--config or COLOCATE_CONFIG).
# Fatal errors are written to /dev/termination-log, which the kubelet mounts. Nothing is written to the image's own file system.
EXPOSE 8443 8080
ENTRYPOINT ["/colocate"]
CMD ["serve"]
