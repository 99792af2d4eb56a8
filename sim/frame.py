"""Figures as a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pilaster.base.extras import needing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["data_frame"]


def data_frame(columns: Mapping[str, NDArray[Any] | Sequence[Any]]) -> pd.DataFrame:
    """Give columns, by name, as a DataFrame.

    Raises
    ------
    InputError
        If pandas is not there.
    """
    with needing("a DataFrame", "explore"):
        import pandas as pd
    return pd.DataFrame(dict(columns))
