# The programs of libfcc in an image.
#
#   docker build -t fcc .
#   docker run --rm -it -v "$PWD:/work" fcc fcc-train --config configs/book.json
#
#   docker build -t fcc:cuda --build-arg KIND=cuda --build-arg BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04 \
#     --build-arg RUNTIME=nvidia/cuda:13.0.1-base-ubuntu24.04 .
#   docker run --rm -it --gpus all -v "$PWD:/work" fcc:cuda fcc-generate --model DIR --interactive
#
# The second wants the NVIDIA container toolkit; its driver comes from the host.
ARG BASE=debian:12-slim
ARG RUNTIME=debian:12-slim

FROM ${BASE} AS build
ARG KIND=cpu
ENV FCC_CACHE=/opt/libfcc-cache
WORKDIR /src
# What is downloaded comes first: it is made anew only when the script or its lists change.
COPY scripts/setup.sh scripts/setup.sh
COPY scripts/wheels scripts/wheels
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && scripts/setup.sh --${KIND} --no-python
COPY . .
RUN cmake -G Ninja -B /build -DCMAKE_BUILD_TYPE=Release -DFCC_BUILD_TESTS=OFF \
      -DFCC_CUDA=$([ "$KIND" = cuda ] && echo ON || echo OFF) -DCMAKE_INSTALL_PREFIX=/opt/fcc \
    && cmake --build /build && cmake --install /build --strip
# What the programs load of the system's libraries, so that the image below needs no packages; the C
# library and the driver are the image's and the host's own.
RUN mkdir -p /opt/fcc/system \
    && find /opt/fcc -type f \( -path '*/bin/*' -o -name '*.so*' \) -exec ldd {} + 2>/dev/null \
       | awk '$3 ~ "^/(usr/)?lib/" && $1 !~ /^(libc|libm|libdl|libpthread|librt|libutil|libresolv|libcuda)\.so/ { print $3 }' \
       | sort -u | xargs -r cp -L -t /opt/fcc/system

FROM ${RUNTIME}
COPY --from=build /opt/fcc /opt/fcc
RUN echo /opt/fcc/system > /etc/ld.so.conf.d/zz-fcc.conf && ldconfig
ENV PATH=/opt/fcc/bin:${PATH}
WORKDIR /work
CMD ["fcc-train", "--help"]
