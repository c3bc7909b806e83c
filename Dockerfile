# One static program and nothing else. `make image` builds it (see image/build), from a context that holds <architecture>/colocate.
FROM scratch

ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="colocate" \
      org.opencontainers.image.description="Keeps stateful pods next to their data: a Kubernetes admission server that sets the storage driver's scheduler" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The builder sets it, one of the platforms at a time.
ARG TARGETARCH
COPY ${TARGETARCH}/colocate /colocate

# A number: of a name, the kubelet cannot tell that it is not root's. Any other user will do as well, for OpenShift.
USER 65532:65532

# glibc gives what is freed back at once from this size on; without it, from the size of the largest that was ever freed, up to 32 MB: after
# 200 objects of 17 MB at once, 201 MB stay with 32 threads, and 100 MB with it.
ENV GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072

# Admission reviews, and /livez, /readyz and /metrics. The configuration is a file that is mounted (--config, or COLOCATE_CONFIG), and
# /dev/termination-log, where a failure is written, is the kubelet's: nothing of this root is ever written to.
EXPOSE 8443 8080
ENTRYPOINT ["/colocate"]
CMD ["serve"]
