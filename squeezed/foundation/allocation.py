"""How processes that train should treat memory that they have freed."""

ALLOCATION = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""Environment variables of glibc (others ignore them), read when a process starts: keep memory that
was freed instead of returning it to the system. Batches of one size come and go, and faulting their
pages in anew each time costs a quarter of the speed."""
