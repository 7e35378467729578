from squeezed.face import attack as attack
from squeezed.face import compare as compare
from squeezed.face import load as load
from squeezed.face import quantize as quantize

__version__: str
