# pixperts for the CPU, as a user without rights:
#   docker build -t pixperts:cpu .
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" pixperts:cpu upscale photo.jpg
# As a service for other programs on this machine, see docs/serve.md:
#   docker run --rm -p 127.0.0.1:8000:8000 -e PIXPERTS_TOKEN --stop-timeout 330 \
#       pixperts:cpu serve --host 0.0.0.0
FROM python:3.12-slim

# The index of builds without CUDA, which are 2 GB smaller.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PYTHONDONTWRITEBYTECODE=1 HOME=/tmp

COPY pyproject.toml README.md LICENSE NOTICE /build/
COPY src /build/src
# Its photos go into the package, for the page.
COPY examples /build/examples
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.4" \
    && pip install --no-cache-dir "/build[formats,serve]" \
    && rm -rf /build \
    && useradd --create-home --uid 1000 pixperts

USER 1000
WORKDIR /data
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["pixperts"]
CMD ["--help"]
