"""What makes a model faster on a CPU: oneDNN's linear layers, and memory that is not given back between steps."""

import ctypes

from torch import nn

from .linear import use_onednn

# Parameters of glibc's mallopt (malloc.h), the largest threshold that it accepts, and "never".
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST_THRESHOLD = 32 * 1024 * 1024
NEVER = -1


def speed_up_on_cpu(model: nn.Module) -> None:
    """Prepare a model that lies on a CPU, and the process; on other devices nothing happens. Results stay the same."""
    if all(parameter.device.type == "cpu" for parameter in model.parameters()):
        use_onednn(model)
        _reuse_freed_memory()


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
