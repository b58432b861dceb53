"""`python -m local_cloud`, which `bin/local-cloud` calls."""

import sys

from local_cloud.cli import main

sys.exit(main())
