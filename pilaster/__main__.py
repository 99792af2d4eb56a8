"""`python -m pilaster` is the command line."""

from pilaster.cli import main

raise SystemExit(main())
