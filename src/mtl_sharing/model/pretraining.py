"""What the models of pretraining share: they train a network's encoder and leave its heads."""

from torch import nn

from mtl_sharing.model.network import Network


class PretrainingModel(nn.Module):
    """A network whose encoder is trained by another task than its heads'.

    Args:
        network: it is trained in place.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def tied(self) -> list[list[nn.Parameter]]:
        """Nothing: tied copies go their own ways until the network itself is trained."""
        return []

    def shared(self) -> dict[str, list[nn.Parameter]]:
        """For each encoder stage, by name, the weights that train and that several tasks own."""
        kept = ("embeddings", "layer.")
        return {n: ws for n, ws in self.network.shared().items() if n.startswith(kept)}
