"""The exercises of the chapter on kernels: two programs in Triton, and a tile of FlashAttention."""
