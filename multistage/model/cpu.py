"""What makes a model faster on a CPU: the faster library's linear layers, gradients of embeddings by row, and memory that is
not given back between steps."""

import ctypes
from pathlib import Path

from torch import nn

from multistage.model.embedding import add_gradients_by_row
from multistage.model.linear import use_onednn

# Parameters of glibc's mallopt (malloc.h), the largest threshold that it accepts, and "never".
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_THRESHOLD = 32 * 1024 * 1024
NEVER = -1


def speed_up_on_cpu(model: nn.Module) -> None:
    """Prepare a model that lies on a CPU, and the process; on other devices nothing happens. Results stay the same."""
    if all(parameter.device.type == "cpu" for parameter in model.parameters()):
        if not _is_intel():
            use_onednn(model)
        add_gradients_by_row(model)
        _reuse_freed_memory()


def _is_intel() -> bool:
    """Whether this is a processor whose wide vector units MKL, PyTorch's own choice, does use; asked of Linux."""
    description = Path("/proc/cpuinfo")
    return description.is_file() and "GenuineIntel" in description.read_text(encoding="utf-8")


def _reuse_freed_memory() -> None:
    """Let glibc keep freed tensors' memory for the next ones, where it would return it to the system and fault it in anew.

    Training allocates and frees gigabytes of activations in every step; faulting them in took an eighth of its time. Other
    C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, NEVER)
        mallopt(M_TOP_PAD, 2 * LARGEST_THRESHOLD)
