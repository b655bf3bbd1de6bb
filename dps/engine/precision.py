"""How products of float32 numbers are computed: one setting for convolutions and matrix products, on every device."""

from typing import Any

import torch

from dps.protocol.values import require


def set_precision(precision: str, accelerator: str) -> None:
    """How float32 convolutions and matrix products are computed, alike on every device: ieee, tf32 or bf16.

    ValueError where the trainer's accelerator has no such products: others would be computed in silence.
    """
    backends: Any = torch.backends
    # By the names of before too, which Lightning reads: torch refuses to answer where the two contradict each other.
    torch.set_float32_matmul_precision({"tf32": "high", "bf16": "medium"}.get(precision, "highest"))
    backends.fp32_precision = precision
    backends.cuda.matmul.fp32_precision = "none" if precision == "bf16" else precision
    of_cpu, of_gpu = (backends.mkldnn.matmul, backends.mkldnn.conv), (backends.cuda.matmul, backends.cudnn.conv)
    on_cpu = accelerator == "cpu" or not torch.cuda.is_available()
    taken = {one.fp32_precision for one in (of_cpu if on_cpu else of_gpu)} == {precision}
    require(taken, "precision", precision, "ieee or tf32 on a GPU")
    if on_cpu and precision != "ieee":
        what = "ieee on this CPU, which multiplies float32 numbers with all their bits, whatever it is told"
        require(_drops_bits(), "precision", precision, what)


def _drops_bits() -> bool:
    """Whether this CPU's products, as they are set now, are those of numbers with fewer bits.

    A number just above 1 is 1 in tf32 and bf16. The sizes are such that oneDNN computes both products.
    """
    near_one = torch.full((512, 512), 1 + 2.0**-12)
    matrix = near_one @ near_one
    image = torch.nn.functional.conv2d(near_one.view(16, 64, 16, 16), near_one[:, :64].reshape(64, 64, 2, 4))
    return bool((matrix == 512).all() and (image == 64 * 8).all())
