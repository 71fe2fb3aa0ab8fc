"""What liquidators take, and how dear block space makes it."""
