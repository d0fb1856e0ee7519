# pixperts for the CPU, as a user without rights:
#   docker build -t pixperts:cpu .
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" pixperts:cpu upscale photo.jpg
FROM python:3.12-slim

# The index of builds without CUDA, which are 2 GB smaller.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PYTHONDONTWRITEBYTECODE=1 HOME=/tmp

COPY pyproject.toml README.md LICENSE NOTICE /build/
COPY src /build/src
# Its photos go into the package, for the page.
COPY examples /build/examples
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.4" \
    && pip install --no-cache-dir "/build[formats]" \
    && rm -rf /build \
    && useradd --create-home --uid 1000 pixperts

USER 1000
WORKDIR /data
VOLUME /data
ENTRYPOINT ["pixperts"]
CMD ["--help"]
