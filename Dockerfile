# One static program and nothing else. `make image` builds it (see image/build) from a context that holds <architecture>/colocate.
FROM scratch

ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="colocate" \
      org.opencontainers.image.description="Keeps stateful pods next to their data: a Kubernetes admission server that sets the storage driver's scheduler" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The builder sets it for each platform.
ARG TARGETARCH
COPY ${TARGETARCH}/colocate /colocate

# A number, because the kubelet cannot tell from a name that the user is not root. Any other user works as well, for OpenShift.
USER 65532:65532

# glibc returns freed blocks of at least this size to the system at once. Unset, the threshold grows with the largest freed block, up to 32 MB:
# after 200 objects of 17 MB at once and with 32 threads, 201 MB stay resident; with it, 100 MB.
ENV GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072

# Admission reviews, and /livez, /readyz and /metrics. The configuration is a file that is mounted (--config, or COLOCATE_CONFIG), and
# /dev/termination-log, where a failure is written, is the kubelet's. Nothing is ever written to this root.
EXPOSE 8443 8080
ENTRYPOINT ["/colocate"]
CMD ["serve"]
