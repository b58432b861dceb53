"""`python -m local_cloud.k3s FOLDER [VERSION...]`: publish releases into a folder."""

import sys
from pathlib import Path

from local_cloud.k3s.releases import VERSIONS, publish

if len(sys.argv) < 2:
    sys.exit(f"{__doc__} Without a version: {', '.join(VERSIONS)}.")
publish(Path(sys.argv[1]), sys.argv[2:] or VERSIONS)
