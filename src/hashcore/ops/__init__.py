"""Operations on codes for PyTorch: a plain reference beside each fused one."""
