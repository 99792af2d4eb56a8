"""Writing a table file."""

from __future__ import annotations

import yaml

from pilaster.models.energy.schema import TableFile

__all__ = ["table_yaml"]


def table_yaml(table: TableFile) -> str:
    """Write a table as the text of its file."""
    plain = table.model_dump(mode="json", exclude_none=True)
    text: str = yaml.safe_dump(plain, sort_keys=False, width=100, allow_unicode=True)
    return f"# An energy table. The format: docs/energy-tables.md.\n\n{text}"
