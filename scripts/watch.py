"""What the workflow is doing in a folder: what runs where, each fine-tuning stage's step, rate and time left, what failed.

python scripts/watch.py                  once
python scripts/watch.py --every 10       again every ten seconds
"""

import argparse
import time
from pathlib import Path

from progress.status import page

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--directory", type=Path, default=Path(), help="Snakemake's working folder (default: this one)")
parser.add_argument("--every", type=float, metavar="SECONDS", help="write the page again and again")
options = parser.parse_args()
while True:
    text = page(options.directory.resolve())
    print(f"\033[2J\033[H{text}" if options.every else text, flush=True)
    if not options.every:
        break
    time.sleep(options.every)
