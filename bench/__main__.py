"""`python -m equibench`."""

from equibench.cli.main import main

if __name__ == "__main__":
    main()
