"""`python -m django_starter.dev`: what `start_dev.sh` becomes."""

import sys

from .supervisor import main

sys.exit(main())
