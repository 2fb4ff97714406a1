"""How fast the product is, measured with one command for each part; README.md tells what was found."""
