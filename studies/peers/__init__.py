"""Our four families against the models that people use, in equal seconds of training: `python -m studies.peers`."""
