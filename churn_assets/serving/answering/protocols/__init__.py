"""What other servers' clients send, and how this one describes itself."""
