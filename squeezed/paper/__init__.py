"""The study that this project began with, as a lens: its figures, roles, claims, contradictions.

Zee, Lakshmana and Nwogu, "Towards Understanding the Behaviors of Pretrained Compressed
Convolutional Models". Nothing else in the project knows its variants' names.
"""
