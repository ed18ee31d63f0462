"""The web server of a test whose channel layer loses 30 % of the messages."""

from tests.live.settings import *  # noqa: F403
from tests.live.settings import CHANNEL_LAYERS

CHANNEL_LAYERS = {"default": {**CHANNEL_LAYERS["default"], "BACKEND": "tests.live.lossy_layer.LossyLayer"}}
