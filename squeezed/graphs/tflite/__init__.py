"""A TFLite file as an ONNX graph, so that it has a twin. Loads no torch.

LiteRT stays the engine that judges such a file. It multiplies by fixed-point numbers where ONNX has
real ones, so both round a value to neighbouring steps now and then; how often that changes a
prediction is measured when a file is imported.
"""

from squeezed.graphs.tflite.conversion import tflite_graph

__all__ = ["tflite_graph"]
