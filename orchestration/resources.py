"""Resources: what assets are given from outside.

Keep logic out of this module; it only wires settings to the things that need them.
"""

from collections.abc import Mapping

from orchestration.dbt import build_dbt_resource
from orchestration.settings import PlatformSettings


def build_resources(settings: PlatformSettings) -> Mapping[str, object]:
    """Return the default resources; tests replace them by name."""
    return {"settings": settings, "dbt": build_dbt_resource()}
