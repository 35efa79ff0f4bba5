"""Channel tables of the generators this project trains: small enough for two CPU cores and a file of 16 MB."""

from __future__ import annotations

from bozzetto.errors import InputError
from bozzetto.gan.spec import StyleGan2Spec

# Multiples of 16, which the matrix units of CPUs and GPUs like; the same for both networks.
CHANNELS: dict[int, dict[int, int]] = {
    16: {4: 128, 8: 128, 16: 64},
    32: {4: 192, 8: 192, 16: 160, 32: 80},  # 64 px without its last step, so that one starts the other
    64: {4: 192, 8: 192, 16: 160, 32: 80, 64: 32},
    128: {4: 192, 8: 192, 16: 160, 32: 112, 64: 80, 128: 32},  # nowhere narrower than 64 px
    256: {4: 192, 8: 192, 16: 160, 32: 128, 64: 96, 128: 64, 256: 32},
}


def spec_for(size: int, width: float = 1.0, w_dim: int = 512, mapping_layers: int = 8) -> StyleGan2Spec:
    """The shape for pictures of `size` px; `width` multiplies every channel count (to whole multiples of 16).

    Raises InputError for a size there is no table for.
    """
    if size not in CHANNELS:
        raise InputError(f"A generator can be trained at {', '.join(map(str, CHANNELS))} px, not {size}.")
    table = {res: max(16, round(count * width / 16) * 16) for res, count in CHANNELS[size].items()}
    return StyleGan2Spec(size, table, z_dim=w_dim, w_dim=w_dim, num_mapping_layers=mapping_layers)
