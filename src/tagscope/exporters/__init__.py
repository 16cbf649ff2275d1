"""Results as other tools and people take them, each with a manifest of how it came to be."""

from tagscope.exporters.handover import ExportConfig, export

__all__ = ["ExportConfig", "export"]
