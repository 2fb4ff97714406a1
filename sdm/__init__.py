"""What runs on other machines: proxy workers and the `sdm` command. Never imports Django."""
