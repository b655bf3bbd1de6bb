"""What lies on disk: the records of studies, who they belong to, and the cache."""
