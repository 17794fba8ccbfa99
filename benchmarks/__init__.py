"""What is fast, measured on this machine; `make bench` prints it."""
