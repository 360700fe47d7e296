"""Numbers to cite, with their signatures."""
