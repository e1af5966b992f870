"""The flash attention operator's contract, and a plain reference in its place on a CPU.

The operator is private to torch and runs on a GPU alone. What a GPU's kernel refuses at run time
is refused here too, so that a test on a CPU proves each call.
"""

import torch
from torch import Tensor

OPERATOR = torch.ops.aten._flash_attention_forward
_SCHEMA = OPERATOR.default._schema
_TYPES = {"Tensor": Tensor, "SymInt": int, "int": int, "float": float, "bool": bool}


def fits_flash(rows: Tensor, width: int) -> bool:
    """As ``attention.supports_flash`` on a GPU that has the kernel."""
    return rows.dtype in (torch.bfloat16, torch.float16) and width % 8 == 0 and width <= 192


class FlashKernel:
    """Checks each call as the kernel does, counts it, and computes it.

    Args:
        real: whether torch's operator computes, else the reference.
    """

    def __init__(self, real: bool) -> None:
        self.real, self.calls = real, 0

    def __call__(self, *values, **options):
        self.calls += 1
        arguments = _bind(values, options)
        _check(**arguments)
        return OPERATOR(*values, **options) if self.real else _reference(**arguments)


def _bind(values, options):
    """The arguments by name, each of the type that the schema names."""
    wanted = _SCHEMA.arguments
    positional = [argument for argument in wanted if not argument.kwarg_only]
    assert len(values) == len(positional), "every positional argument"
    named = {argument.name: value for argument, value in zip(positional, values, strict=True)}
    assert options.keys() <= {argument.name for argument in wanted if argument.kwarg_only}
    named |= options
    for argument in wanted:
        if argument.name in named:
            kind = str(argument.real_type).removesuffix("?").replace("Optional[", "").rstrip("]")
            value = named[argument.name]
            assert type(value) is not bool or kind == "bool", argument.name
            assert isinstance(value, _TYPES[kind]), f"{argument.name}: {type(value)} for {kind}"
    return named


def _check(query, key, value, cum_seq_q, cum_seq_k, max_q, max_k, dropout_p, is_causal,
           return_debug_mask, scale):  # fmt: skip
    """What mha_varlen_fwd of FlashAttention-2 checks, and that the ends fit the rows."""
    for rows in (query, key, value):
        assert rows.dtype in (torch.bfloat16, torch.float16) and rows.dtype == query.dtype
        assert rows.dim() == 3 and rows.stride(-1) == 1 and rows.device == query.device
        assert rows.shape[1:] == query.shape[1:]
    assert key.shape == value.shape
    assert query.shape[2] % 8 == 0 and query.shape[2] <= 256
    for ends, rows, longest in ((cum_seq_q, query, max_q), (cum_seq_k, key, max_k)):
        assert ends.dtype == torch.int32 and ends.dim() == 1 and ends.is_contiguous()
        assert ends.device == query.device and not ends.requires_grad
        sizes = ends.diff()
        assert int(ends[0]) == 0 and int(ends[-1]) == len(rows)
        assert int(sizes.min()) > 0 and int(sizes.max()) == longest
    assert len(cum_seq_q) == len(cum_seq_k) > 1
    assert 0 <= dropout_p < 1 and not is_causal and not return_debug_mask and scale > 0


def _reference(query, key, value, cum_seq_q, cum_seq_k, dropout_p, scale, **others):
    """Attention of one sequence after the other in float32; the outputs that autograd needs."""
    attended = []
    sizes = [ends.diff().tolist() for ends in (cum_seq_q, cum_seq_k, cum_seq_k)]
    rows = (part.float() for part in (query, key, value))
    parts = (part.split(size) for part, size in zip(rows, sizes, strict=True))
    for q, k, v in zip(*parts, strict=True):
        weights = (torch.einsum("ihd,jhd->hij", q, k) * scale).softmax(dim=-1)
        kept = torch.rand_like(weights) >= dropout_p
        attended.append(torch.einsum("hij,jhd->ihd", weights * kept / (1 - dropout_p), v))
    return (torch.cat(attended).to(query.dtype),)
