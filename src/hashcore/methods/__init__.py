"""The learning methods, one file a paper, under one registry."""

from __future__ import annotations

from typing import Any, NamedTuple

from hashcore.methods.base import (
    Batch,
    EmbedAll,
    InputSpec,
    LossTerms,
    Method,
    Modality,
    Phase,
    ProblemSpec,
    Role,
    Term,
)
from hashcore.methods.branches import BranchConfig
from hashcore.methods.class_codes import ClassCoded
from hashcore.methods.dch_scr import DCHSCR, DCHSCRConfig
from hashcore.methods.dhsl import DHSL, DHSLConfig
from hashcore.methods.drh import DRH, DRHConfig
from hashcore.methods.drhc import DRHC, DRHCConfig
from hashcore.methods.dth import DTH, DTHConfig
from hashcore.methods.gancmh import GANCMH, GANCMHConfig
from hashcore.methods.hcmsl import HCMSL, HCMSLConfig
from hashcore.methods.label_codes import LabelEncoder
from hashcore.methods.midrm import MIDRM, MIDRMConfig


class Entry(NamedTuple):
    """A row of the registry."""

    config: type[Any]
    method: type[Method]


METHODS: dict[str, Entry] = {
    "dth": Entry(DTHConfig, DTH),
    "drhc": Entry(DRHCConfig, DRHC),
    "midrm": Entry(MIDRMConfig, MIDRM),
    "drh": Entry(DRHConfig, DRH),
    "gancmh": Entry(GANCMHConfig, GANCMH),
    "dhsl": Entry(DHSLConfig, DHSL),
    "hcmsl": Entry(HCMSLConfig, HCMSL),
    "dch_scr": Entry(DCHSCRConfig, DCHSCR),
}

__all__ = [
    "DCHSCR",
    "DHSL",
    "DRH",
    "DRHC",
    "DTH",
    "GANCMH",
    "HCMSL",
    "METHODS",
    "MIDRM",
    "Batch",
    "BranchConfig",
    "ClassCoded",
    "DCHSCRConfig",
    "DHSLConfig",
    "DRHCConfig",
    "DRHConfig",
    "DTHConfig",
    "EmbedAll",
    "Entry",
    "GANCMHConfig",
    "HCMSLConfig",
    "InputSpec",
    "LabelEncoder",
    "LossTerms",
    "MIDRMConfig",
    "Method",
    "Modality",
    "Phase",
    "ProblemSpec",
    "Role",
    "Term",
]
