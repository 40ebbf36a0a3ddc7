"""What a machine does a second and holds: figures that the user gives, or public peaks.

The peaks are the makers' own, of dense products in bfloat16; no run reaches them, so a share is
taken of them, which is an assumption. Knows nothing of models.
"""

from dataclasses import dataclass

from qkcore import InputError

COMPUTE_SHARE = 0.4  # of a GPU's peak that passes over prompts reach: assumed, not measured
BANDWIDTH_SHARE = 0.7  # of a GPU's memory bandwidth: assumed, not measured
USABLE = 0.9  # of a GPU's memory: assumed; the rest is torch's and the driver's


@dataclass(frozen=True, slots=True)
class Machine:
    """One GPU or one CPU, and how many there are of it."""

    name: str
    tflops: float  # 1e12 operations a second that are reached
    memory_gb: float  # 1e9 bytes
    bandwidth_gb: float  # 1e9 bytes a second that are reached
    n: int = 1
    is_cpu: bool = False
    source: str = "as given"

    @property
    def usable_bytes(self) -> float:
        """Memory of one that a model and its passes may take."""
        return self.memory_gb * 1e9 * (1.0 if self.is_cpu else USABLE)


# Dense bfloat16 products (1e12 a second), memory (GB), bandwidth (GB a second), by data sheets.
PEAKS = {
    "rtx-3090": (71, 24, 936),
    "rtx-4090": (165, 24, 1_008),
    "l4": (121, 24, 300),
    "l40s": (362, 48, 864),
    "a100-80gb": (312, 80, 2_039),
    "h100-80gb": (989, 80, 3_350),
    "h200-141gb": (989, 141, 4_800),
    "b200-180gb": (2_250, 180, 8_000),
    "mi300x-192gb": (1_307, 192, 5_300),
}


def known_machine(name: str, n: int, share: float | None = None) -> Machine:
    """A GPU of the table, at a share of its peak.

    Raises:
        InputError: when it is not in the table, or the share is none.

    >>> known_machine("rtx-4090", 1).tflops
    66.0
    """
    if name not in PEAKS:
        raise InputError(
            f"GPU {name!r} is not in the table ({', '.join(PEAKS)}); give --tflops, --memory-gb "
            "and --bandwidth instead"
        )
    share = COMPUTE_SHARE if share is None else share
    if not 0 < share <= 1:
        raise InputError(f"--share {share:g}: a share of the peak is above 0 and at most 1")
    tflops, memory, bandwidth = PEAKS[name]
    source = (
        f"{share:.0%} of {tflops:,} TFLOP/s and {BANDWIDTH_SHARE:.0%} of {bandwidth:,} GB/s: the "
        "maker's peaks, and assumed shares of them"
    )
    return Machine(name, tflops * share, memory, bandwidth * BANDWIDTH_SHARE, n, source=source)


def given_machine(
    tflops: float, memory_gb: float, bandwidth_gb: float, n: int, is_cpu: bool
) -> Machine:
    """A machine as the user knows it: what it reaches, not its peak.

    Raises:
        InputError: when a figure is not above 0.
    """
    for name, value in (
        ("--tflops", tflops),
        ("--memory-gb", memory_gb),
        ("--bandwidth", bandwidth_gb),
    ):
        if not value > 0:
            raise InputError(f"{name} {value:g} must be above 0")
    name = "CPU" if is_cpu else "GPU"
    source = f"{tflops:g} TFLOP/s and {bandwidth_gb:g} GB/s reached, as given"
    return Machine(name, tflops, memory_gb, bandwidth_gb, n, is_cpu, source)
