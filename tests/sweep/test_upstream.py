"""What the sweeper uses of hydra-optuna-sweeper beside its public names."""

from importlib import import_module

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution


def test_its_parser_of_parameters_is_there():
    module = import_module("hydra_plugins.hydra_optuna_sweeper._impl")
    parse = getattr(module, "create_params_from_overrides", None)
    why = (
        "hydra-optuna-sweeper no longer has _impl.create_params_from_overrides:"
        " mtl_sharing.sweep.space.spec has to make distributions of overrides itself"
    )
    assert parse is not None, why
    sweep = ["a=choice(x,y)", "b=range(0,5)", "c=tag(log,interval(0.1,1))", "d=3", "~e"]
    assert parse(sweep) == (
        {
            "a": CategoricalDistribution(("x", "y")),
            "b": IntDistribution(0, 4),
            "c": FloatDistribution(0.1, 1.0, log=True),
        },
        {"d": "3"},
        ["~e"],
    ), why
