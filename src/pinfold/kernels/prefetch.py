"""Asking memory for a value before it is needed: an instruction that numba does not offer by itself."""

from typing import TYPE_CHECKING, Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

if TYPE_CHECKING:  # what the compiler makes of the intrinsic below

    def prefetch(array: Any, place: Any) -> None:
        """Start to load `array[place]` of a one-dimensional contiguous array; nothing waits for it.

        A load keeps all that comes after it from completing, so that only some twenty of them are under way at once;
        this does not. No value of `place` does harm.
        """
else:

    @intrinsic
    def prefetch(typing, array, place):  # noqa: ARG001
        """Start to load `array[place]`."""

        def generate(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
            number = cgutils.int32_t
            kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [address, number(0), number(3), number(1)])  # to read, into every cache, data
            return context.get_dummy_value()

        return types.void(array, types.intp), generate
