"""Pickles that run something, hide what they run, or take all memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from corpus.hostile.payload import COMMAND, Hostile, called, named, pickle, short, words

# Names of which each does harm when called; no list of them is ever whole, so the scanner has none.
_NAMES = (
    *(
        "os.system",
        "posix.system",
        "nt.system",
        "os.popen",
        "os.execv",
        "os.remove",
        "subprocess.Popen",
        "pty.spawn",
    ),
    *("subprocess.check_output", "builtins.eval", "builtins.exec", "builtins.compile", "builtins.open"),
    *(
        "__builtin__.eval",
        "builtins.__import__",
        "importlib.import_module",
        "runpy.run_path",
        "webbrowser.open",
    ),
    *(
        "operator.attrgetter",
        "operator.methodcaller",
        "functools.partial",
        "functools.reduce",
        "types.CodeType",
    ),
    *("_posixsubprocess.fork_exec", "ctypes.CDLL", "socket.create_connection", "urllib.request.urlopen"),
    *("shutil.rmtree", "pip._internal.main", "timeit.timeit", "code.InteractiveInterpreter", "pickle.loads"),
    *(
        "torch.hub.load",
        "torch.load",
        "torch.storage._load_from_bytes",
        "torch.jit.load",
        "torch.package.PackageImporter",
    ),
    *(
        "torch._utils._rebuild_device_tensor_from_numpy",
        "torch._inductor.codecache.compile_file",
        "numpy.load",
    ),
    *(
        "numpy.testing._private.utils.runstring",
        "numpy.core.multiarray._reconstruct",
        "copyreg._reconstructor",
    ),
    *("dill._dill._create_function", "cloudpickle.cloudpickle._make_function", "joblib.load", "asyncio.run"),
    *("transformers.TrainingArguments", "_codecs.decode", "builtins.bytearray", "torch.FloatTensor"),
)


def pickles() -> Iterator[Hostile]:
    for name in _NAMES:
        module, _, attribute = name.rpartition(".")
        content = pickle(called(named(module, attribute), words(COMMAND)))
        yield Hostile(f"calls {name}", "model.pkl", content, ("SAFE-101",))
    for name, file, content, code in _tricks():
        yield Hostile(name, file, content, (code,))


def _tricks() -> Iterator[tuple[str, str, bytes, str]]:
    run = called(named("os", "system"), words(COMMAND))
    yield "protocol 0", "model.pkl", b"cos\nsystem\n(S'" + COMMAND.encode() + b"'\ntR.", "SAFE-101"
    yield "getattr chain", "model.bin", pickle(_getattr_chain()), "SAFE-101"
    stack = short("os") + short("system") + b"\x93"
    yield "STACK_GLOBAL", "model.pt", pickle(called(stack, words(COMMAND)), 4), "SAFE-101"
    memo = short("os") + b"\x94" + short("system") + b"\x94" + b"00" + b"h\x00h\x01\x93"
    yield "STACK_GLOBAL from the memo", "model.pt", pickle(called(memo, words(COMMAND)), 4), "SAFE-101"
    swapped = short("torch") + b"q\x000" + short("os") + b"q\x000" + b"h\x00" + short("system") + b"\x93"
    yield "memo overwritten", "model.pt", pickle(called(swapped, words(COMMAND)), 4), "SAFE-101"
    made = called(named("collections", "OrderedDict")) + short("system") + b"\x93"
    yield "STACK_GLOBAL of a made name", "model.pt", pickle(called(made, words(COMMAND)), 4), "SAFE-102"
    yield "STACK_GLOBAL of a number", "model.pt", pickle(b"K\x01" + short("system") + b"\x93", 4), "SAFE-102"
    yield (
        "name behind an allowed module",
        "model.pt",
        pickle(called(named("torch._utils", "os.system"))),
        "SAFE-101",
    )
    yield "blank in a name", "model.pt", pickle(b"cos system\nx\n"), "SAFE-102"
    yield "INST", "model.pkl", b"(S'" + COMMAND.encode() + b"'\nios\nsystem\n.", "SAFE-102"
    yield "OBJ", "model.pkl", pickle(b"(" + named("os", "system") + words(COMMAND) + b"o"), "SAFE-101"
    yield "NEWOBJ", "model.pkl", pickle(named("os", "system") + words(COMMAND) + b"\x85\x81"), "SAFE-101"
    yield "NEWOBJ_EX", "model.pkl", pickle(named("os", "system") + b")}\x92", 4), "SAFE-101"
    yield "extension registry", "model.pkl", pickle(b"\x82\x01"), "SAFE-102"
    yield "persistent id as text", "model.pkl", b"Pos.system\n.", "SAFE-102"
    yield "out-of-band buffer", "model.pkl", pickle(b"\x97", 5), "SAFE-102"
    yield "state on a dict", "model.pkl", pickle(b"}}b"), "SAFE-102"
    yield (
        "calls what a call made",
        "model.pkl",
        pickle(called(called(named("collections", "OrderedDict")))),
        "SAFE-102",
    )
    yield "a second pickle behind the first", "model.pkl", pickle(b"N") + pickle(run), "SAFE-105"
    yield "runs, then breaks off", "model.pkl", b"\x80\x02" + run + b"\xff", "SAFE-101"
    yield "runs, then popped", "model.pkl", pickle(run + b"0N"), "SAFE-101"
    yield "in a value of a state dict", "model.pt", pickle(b"}" + words("weight") + run + b"s"), "SAFE-101"
    yield (
        "in a state",
        "model.pt",
        pickle(called(named("collections", "OrderedDict")) + run + b"b"),
        "SAFE-101",
    )
    inner = b"B" + struct.pack("<I", len(pickle(run))) + pickle(run)
    yield (
        "a pickle inside a pickle",
        "model.pt",
        pickle(called(named("pickle", "loads"), inner), 3),
        "SAFE-101",
    )
    yield "length of an exabyte", "model.pkl", b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b".", "SAFE-104"
    yield "number of a million digits", "model.pkl", b"I" + b"9" * 1_000_000 + b"\n.", "SAFE-104"
    yield "negative memo", "model.pkl", b"I1\np-7\n0g-7\n.", "SAFE-108"
    yield "empty stack", "model.pkl", pickle(b"00R"), "SAFE-103"
    yield "cut short", "model.pkl", pickle(run)[:-4], "SAFE-103"
    yield "bomb of references", "model.pkl", pickle(_references()), "SAFE-108"
    yield "no pickle at all", "model.bin", b"\x00" * 64, "SAFE-103"


def _getattr_chain() -> bytes:
    imported = called(named("builtins", "__import__"), words("os"))
    return called(called(named("builtins", "getattr"), imported, words("system")), words(COMMAND))


def _references() -> bytes:
    """A list of two references to a list of two references, fifty deep: 2**50 when it is written out."""
    body = b"]q\x000"
    for depth in range(50):
        body += b"]q" + bytes([depth + 1]) + b"(h" + bytes([depth]) + b"h" + bytes([depth]) + b"e0"
    return body + b"h\x32"
