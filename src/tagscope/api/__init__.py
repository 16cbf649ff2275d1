"""The public verbs. Command line, notebooks and the napari plugin use these alone.

Every verb that takes long has ``context: JobContext | None`` and reports progress through it.
Paths may be strings. A SECTION is a SpatialData zarr store, a vendor's output folder, or an
``.h5ad`` with coordinates in ``obsm["spatial"]``; a REFERENCE is an ``.h5ad`` or a store's table.
"""

from __future__ import annotations

from tagscope.api.annotation import annotate
from tagscope.api.comparison import agree, distances, evaluate, flows, integration
from tagscope.api.conversion import convert
from tagscope.api.deconvolution import deconvolve
from tagscope.api.domains import delineate_domains, domain_features
from tagscope.api.embedding import embed, gene_embeddings
from tagscope.api.explanation import enrich, faithfulness, patches, slots, tags
from tagscope.api.learning import network_for, train
from tagscope.api.pretraining import pretrain
from tagscope.api.sections import check, export, info, sample, simulate, write_result
from tagscope.core.feature_map import FeatureMap
from tagscope.core.hierarchy import LabelTree, label_flows
from tagscope.core.results import (
    Annotation,
    AnnotationResult,
    DomainMap,
    Embedding,
    GeneScores,
    SlotScores,
)
from tagscope.deconvolution.deconvolve import DeconvolveConfig
from tagscope.deconvolution.result import Proportions
from tagscope.domains.boundary import (
    Boundary,
    BoundaryConfig,
    adjoining_domains,
    boundary_between,
)
from tagscope.domains.config import DomainConfig, DomainModel
from tagscope.domains.edits import (
    coloured_like,
    merge_domains,
    recolour_domain,
    rename_domain,
)
from tagscope.domains.feature_map import feature_map
from tagscope.domains.markers import DomainMarkers, domain_markers
from tagscope.domains.outlines import domain_outlines
from tagscope.evaluation.agreement import ModelLabels, label_agreement
from tagscope.evaluation.agreement_result import LabelAgreement
from tagscope.evaluation.annotation import AnnotationReport, evaluate_labels
from tagscope.evaluation.distances import DistanceConfig, GroupDistances
from tagscope.evaluation.integration import IntegrationConfig, IntegrationReport
from tagscope.exporters import ExportConfig
from tagscope.exporters.handover import Format as ExportFormat
from tagscope.inference.annotate import AnnotateConfig, PartialAnnotation
from tagscope.inference.embed import EmbedConfig
from tagscope.inference.genes import GeneConfig
from tagscope.interpret.enrichment import EnrichConfig, Enrichment
from tagscope.interpret.faithfulness import FaithfulnessConfig, faithfulness_of_result
from tagscope.interpret.faithfulness_report import FaithfulnessReport
from tagscope.interpret.gene_embeddings import GeneEmbeddings
from tagscope.interpret.patches import PatchConfig, PatchPrograms
from tagscope.interpret.profiles import CellProfile, CellProfiles, SelectionProfile, TypeCount
from tagscope.interpret.slots import SlotSummary, slot_shares, slot_summary
from tagscope.interpret.stored import selection_groups
from tagscope.interpret.tags import TagTable, tag_table
from tagscope.io.choices import alternatives
from tagscope.io.images import SectionImage, read_images
from tagscope.io.preflight import Finding, Preflight, estimate_text
from tagscope.io.readers import (
    OpenedSection,
    SectionSource,
    open_section,
    read_reference,
    read_section,
)
from tagscope.io.store import read_table
from tagscope.io.transcripts import Transcripts, read_transcripts
from tagscope.models.bundle import Bundle, load_bundle
from tagscope.models.cellmemory.config import CellMemoryConfig
from tagscope.models.cellmemory.project import ConvertConfig
from tagscope.models.cellpatch.checkpoint import CellPatchConvertConfig
from tagscope.models.cellpatch.config import CellPatchConfig
from tagscope.models.omnicell.checkpoint import OmniCellConvertConfig
from tagscope.models.omnicell.config import HeadConfig
from tagscope.simulation import Layout, SimulateConfig
from tagscope.training.cellpatch_stagate import UnionConfig, UnionRecipe
from tagscope.training.pretrain_recipe import PretrainConfig, PretrainRecord
from tagscope.training.recipe import EpochRecord, TrainConfig, recipe_of
from tagscope.training.stagate import StagateConfig

__all__ = [
    "AnnotateConfig", "Annotation", "AnnotationReport", "AnnotationResult", "Boundary",
    "BoundaryConfig", "Bundle", "CellMemoryConfig", "CellPatchConfig", "CellPatchConvertConfig",
    "CellProfile", "CellProfiles", "ConvertConfig", "DeconvolveConfig", "DistanceConfig",
    "DomainConfig", "DomainMap", "DomainMarkers", "DomainModel", "EmbedConfig", "Embedding",
    "EnrichConfig", "Enrichment", "EpochRecord", "ExportConfig", "ExportFormat",
    "FaithfulnessConfig", "FaithfulnessReport", "FeatureMap", "Finding", "GeneConfig",
    "GeneEmbeddings", "GeneScores", "GroupDistances", "HeadConfig", "IntegrationConfig",
    "IntegrationReport", "LabelAgreement", "LabelTree", "Layout", "ModelLabels",
    "OmniCellConvertConfig", "OpenedSection", "PartialAnnotation", "PatchConfig", "PatchPrograms",
    "Preflight", "PretrainConfig", "PretrainRecord", "Proportions", "SectionImage", "SectionSource",
    "SelectionProfile", "SimulateConfig", "SlotScores", "SlotSummary", "StagateConfig", "TagTable",
    "TrainConfig", "Transcripts", "TypeCount", "UnionConfig", "UnionRecipe", "adjoining_domains",
    "agree", "alternatives", "annotate", "boundary_between", "check", "coloured_like", "convert",
    "deconvolve", "delineate_domains", "distances", "domain_features", "domain_markers",
    "domain_outlines", "embed", "enrich", "estimate_text", "evaluate", "evaluate_labels", "export",
    "faithfulness", "faithfulness_of_result", "feature_map", "flows", "gene_embeddings", "info",
    "integration", "label_agreement", "label_flows", "load_bundle", "merge_domains", "network_for",
    "open_section", "patches", "pretrain", "read_images", "read_reference", "read_section",
    "read_table", "read_transcripts", "recipe_of", "recolour_domain", "rename_domain", "sample",
    "selection_groups", "simulate", "slot_shares", "slot_summary", "slots", "tag_table", "tags",
    "train", "write_result",
]  # fmt: skip
