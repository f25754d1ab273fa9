"""A list of any number of images as one Parquet file, written and read as a stream. No torch."""

from monai_lora_sam.index.find_images import FoundImage, LeftOut, find_images
from monai_lora_sam.index.image_index import ImageIndex, IndexedImage
from monai_lora_sam.index.index_images import IndexSummary, index_images
from monai_lora_sam.index.write_index import write_index

__all__ = [
    "FoundImage",
    "ImageIndex",
    "IndexSummary",
    "IndexedImage",
    "LeftOut",
    "find_images",
    "index_images",
    "write_index",
]
