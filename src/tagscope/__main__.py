"""``python -m tagscope`` is the command line."""

from tagscope.cli.main import main

raise SystemExit(main())
