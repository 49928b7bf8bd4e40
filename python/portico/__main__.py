"""`python -m portico`: the same as the command `portico`."""

from portico.cli import main

if __name__ == "__main__":
    main()
