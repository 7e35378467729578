"""What a person sees while the workflow runs: one line a job, or a live picture on a terminal."""
