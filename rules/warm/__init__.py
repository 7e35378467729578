"""A warm process for each run: it has loaded the libraries, and forks a child for each job.

Loading torch and torchvision takes some five seconds, which most jobs would pay. What jobs are is
not changed by it: a child has the arguments, files, environment and threads that a Python of its
own would have, and loads the project's modules itself. Three parts: `server` is the warm process,
`client` stands in the rules' commands and runs Python as ever where nobody answers, and `start` is
what Snakemake's own process does about it.
"""
