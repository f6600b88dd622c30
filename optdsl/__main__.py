"""`python -m optdsl` is the command `optdsl`."""

from optdsl.cli.main import main

if __name__ == "__main__":
    main()
