"""Reports: what runs and sweeps left in their folders, compared, tested and tabulated."""
