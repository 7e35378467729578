"""What does a CNN still know after you squeeze it?

Importing this package loads neither torch nor torchvision, so that the workflow's graph and the
jobs that need no network stay quick; import the modules below for the work itself.
"""

__version__ = "0.1.0"
