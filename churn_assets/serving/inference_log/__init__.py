"""From the segments on a server's disk to the table `requests`."""
