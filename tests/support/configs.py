"""The repository's configs, merged as Snakemake merges them."""

import copy

import yaml
from snakemake.utils import update_config

from repository import REPOSITORY

DEFAULT = yaml.safe_load((REPOSITORY / "config.yaml").read_text())


def merged(*overlays):
    """The default config with others over it: dictionaries, or the names of files."""
    config = copy.deepcopy(DEFAULT)
    for overlay in overlays:
        read = overlay if isinstance(overlay, dict) else yaml.safe_load((REPOSITORY / overlay).read_text())
        update_config(config, copy.deepcopy(read))
    return config
