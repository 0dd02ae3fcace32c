"""What people get: answers, the flag, the pages and the command line."""
