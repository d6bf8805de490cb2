"""The service mesh: its policy, and the compiler that makes configurations, a table and permissions of it."""
