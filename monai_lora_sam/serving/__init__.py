"""Serve prompts to many users: networks with adapters, a cache of embeddings, sessions."""

from monai_lora_sam.serving.click_engine import ClickAnswer, ClickEngine, ImageChanged, image_key
from monai_lora_sam.serving.embedding_cache import CacheFacts, EmbeddingCache
from monai_lora_sam.serving.network_pool import NetworkPool, OfferedNetwork, ServedNetwork
from monai_lora_sam.serving.sessions import ClickSession, SessionExpired, SessionStore

__all__ = [
    "CacheFacts",
    "ClickAnswer",
    "ClickEngine",
    "ClickSession",
    "EmbeddingCache",
    "ImageChanged",
    "NetworkPool",
    "OfferedNetwork",
    "ServedNetwork",
    "SessionExpired",
    "SessionStore",
    "image_key",
]
