# The image as one would write it at once, to compare with: the same worker, on Debian, with Debian's libraries.
FROM docker.io/library/debian:bookworm-slim AS build
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc make libc6-dev pkg-config ca-certificates \
    libcurl4-openssl-dev libcjson-dev libpq-dev libssl-dev libevent-dev libhttp-parser-dev libpg-query-dev >/dev/null
COPY Makefile /src/
COPY worker /src/worker
RUN make -C /src -j"$(nproc)" VARIANT=release build/release/pawl >/dev/null

FROM docker.io/library/debian:bookworm-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates libcurl4 libpq5 libssl3 libcjson1 \
    >/dev/null && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/pawl /usr/local/bin/pawl
COPY migrations/ /migrations/
ENV PAWL_MIGRATIONS=/migrations
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/pawl"]
CMD ["serve"]
