"""The only names a pickle of weights may ask for.

An allowlist: what is not here is refused, known as harmful or not. Every name is also one that
``torch.load(weights_only=True)`` accepts; left out of torch's own list is what sets aside memory by a number in the
file (``builtins.bytearray``, ``torch.FloatTensor``), calls a function that the file names, or is no weight.
"""

from __future__ import annotations

CONTAINERS = frozenset({"collections.OrderedDict", "collections.Counter", "builtins.set", "torch.Size"})
PARAMETERS = frozenset({"torch._utils._rebuild_parameter"})
TENSORS = frozenset(
    {
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
    }
)
# Number types by the storage class that old and new files name; the values are safetensors' names.
_STORED = {
    "Double": "F64",
    "Float": "F32",
    "Half": "F16",
    "BFloat16": "BF16",
    "Long": "I64",
    "Int": "I32",
    "Short": "I16",
    "Char": "I8",
    "Byte": "U8",
    "Bool": "BOOL",
    "ComplexFloat": "C64",
}
STORAGES = {f"torch.{place}{name}Storage": code for place in ("", "cuda.") for name, code in _STORED.items()}
UNTYPED = "torch.storage.UntypedStorage"
DTYPES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.float8_e4m3fnuz": "F8_E4M3FNUZ",
    "torch.float8_e5m2fnuz": "F8_E5M2FNUZ",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint64": "U64",
    "torch.uint32": "U32",
    "torch.uint16": "U16",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
    "torch.complex64": "C64",
}
OTHERS = frozenset({"torch.device"})
ALLOWED = frozenset({*CONTAINERS, *PARAMETERS, *TENSORS, *STORAGES, UNTYPED, *DTYPES, *OTHERS})
# What may be called; storages and number types are only named.
CALLABLE = CONTAINERS | PARAMETERS | TENSORS | OTHERS
