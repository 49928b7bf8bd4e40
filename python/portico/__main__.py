"""`python -m portico`: the same as the command `portico`; without a command, a demonstration."""

import sys

if __name__ == "__main__":
    if sys.argv[1:] in ([], ["--open"]):
        from portico.embedding.demo import main
    else:
        from portico.cli import main
    main()
