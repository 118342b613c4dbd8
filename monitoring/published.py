"""Where the published marts of a home lie that are built after the models."""

from pathlib import Path


def published_mart(home: Path, mart: str) -> Path | None:
    """Return the current file of a mart, or ``None`` when there is none."""
    folder = home / "marts" / "after_models"
    pointer = folder / "CURRENT"
    if not pointer.exists():
        return None
    path = folder / "versions" / pointer.read_text(encoding="utf-8").strip() / f"{mart}.parquet"
    return path if path.exists() else None
