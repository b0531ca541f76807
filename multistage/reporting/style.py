"""How plots look: one style for all of them, read in print and by the colour-blind, the same bytes each time."""

import matplotlib

matplotlib.use("svg")
# Okabe & Ito's colours, which the colour-blind tell apart, from dark to light.
BLACK, BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW = (
    "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442",
)  # fmt: skip
GREY = "#555555"
matplotlib.rcParams.update(
    {
        # Identifiers in an SVG come from this salt, and not from chance.
        "svg.hashsalt": "plots",
        "font.size": 10,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "legend.frameon": False,
    }
)
# What `savefig` writes into an SVG beside the drawing: no date.
METADATA = {"Date": None}
