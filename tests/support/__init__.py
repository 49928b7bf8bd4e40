"""What the tests stand on: real server processes, a raw HTTP client and waiting with a deadline."""
