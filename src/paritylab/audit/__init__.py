"""Reproducibility audits: variations, tiers, evidence bundles and their differences."""
