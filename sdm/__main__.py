"""`python -m sdm`, where the package is there and its command is not on the path."""

from sdm.cli.main import main

main()
