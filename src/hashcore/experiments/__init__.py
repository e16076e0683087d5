"""Many trainings under one protocol: the runs of `reproduce` and of `train --ablate`."""
