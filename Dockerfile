# Inference in a container, on the CPU or, with a GPU and NVIDIA's container toolkit, on CUDA.
#   docker build --build-arg DEVICE=cpu -t monai-lora-sam .
#   docker build --build-arg DEVICE=cuda -t monai-lora-sam:cuda .
#   docker run --rm -v "$PWD:/data" monai-lora-sam predict study.parquet --stage vessels --out predictions
#   docker run --rm --gpus all -v "$PWD:/data" monai-lora-sam:cuda segment image.png --box 10,10,90,90 --out mask
FROM python:3.11-slim-bookworm

# cpu: torch without CUDA, a fifth of the size. cuda: torch as the registry has it, with its own CUDA libraries.
ARG DEVICE=cpu
ARG TORCH="torch>=2.8 torchvision>=0.23"

ENV PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# No root: files that the container writes into /data belong to this user, or to the one of `docker run --user`.
RUN useradd --create-home --uid 1000 reader

WORKDIR /opt/monai-lora-sam
# The releases are those of setup.cfg; pin them in TORCH for an image that can be built again.
# hadolint ignore=DL3013
RUN case "$DEVICE" in \
        cpu) read -ra packages <<< "$TORCH" \
            && pip install --index-url https://download.pytorch.org/whl/cpu "${packages[@]}" ;; \
        cuda) read -ra packages <<< "$TORCH" && pip install "${packages[@]}" ;; \
        *) echo "DEVICE: expected cpu or cuda, found $DEVICE" >&2 && exit 1 ;; \
    esac

COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY monai_lora_sam monai_lora_sam
COPY bundles bundles
# hadolint ignore=DL3013
RUN pip install ".[dicom,scale]"

USER 1000
WORKDIR /data
ENTRYPOINT ["monai-lora-sam"]
CMD ["--help"]
