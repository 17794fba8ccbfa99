"""What people type of servers: who serves, who answers, and what was answered."""
