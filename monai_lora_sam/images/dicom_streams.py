"""Split encapsulated DICOM pixels into frames and check the structure of compressed frames."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
RLE = "1.2.840.10008.1.2.5"
_JPEG_LS = "1.2.840.10008.1.2.4.8"
_JPEG = tuple(f"1.2.840.10008.1.2.4.{group}" for group in ("5", "6", "7"))
_JPEG_2000 = tuple(f"1.2.840.10008.1.2.4.{group}" for group in ("90", "91", "92", "93", "20"))
_JPEG_START, _JPEG_2000_STARTS = b"\xff\xd8", (b"\xff\x4f", b"\x00\x00\x00\x0cjP  ")
_END = b"\xff\xd9"
# After 0xFF a byte of entropy-coded data is 0 or a restart marker in JPEG, and below 0x80 in JPEG-LS.
_MARKER, _MARKER_LS = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]"), re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_LOSSLESS = 0xC3
_TILE, _START_OF_SCAN = 0x90, 0xDA
#: Bytes that a decoder reads only where the picture is not yet complete; free of 0xFF.
_MORE_DATA = bytes((37 * index + 11) % 251 for index in range(64))


def is_known(syntax: str) -> bool:
    """Return whether frames of this compression can be told apart: JPEG, JPEG-LS, JPEG 2000, RLE."""
    return syntax == RLE or syntax.startswith((*_JPEG, _JPEG_LS, *_JPEG_2000))


def coded_frames(data: bytes, syntax: str) -> tuple[list[bytes], int]:
    """Return the code stream of each frame, and the number of frames in the offset table, 0 where it is empty.

    A frame begins with the start marker of its stream; in RLE each fragment is a frame (PS3.5 A.4). The offsets
    themselves are not followed: they are often wrong.

    Raises:
        ValueError: no fragments, one cut off, or none that begins a frame.
    """
    table, *fragments = _items(data)
    if not fragments:
        raise ValueError("its compressed pixel data is empty")
    starts: bytes | tuple[bytes, ...] | None = None
    if syntax.startswith((*_JPEG, _JPEG_LS)):
        starts = _JPEG_START
    elif syntax.startswith(_JPEG_2000):
        starts = _JPEG_2000_STARTS
    frames: list[list[bytes]] = []
    for fragment in fragments:
        if starts is None or fragment.startswith(starts):
            frames.append([fragment])
        elif frames:
            frames[-1].append(fragment)
        elif fragment.strip(b"\0"):
            raise ValueError(f"its compressed pixel data begins with {fragment[:4]!r}")
    return [b"".join(parts) for parts in frames], len(table) // 4


def _items(data: bytes) -> Iterator[bytes]:
    place = 0
    while data[place : place + 4] == _ITEM:
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8
        if place + length > len(data):
            raise ValueError("its last compressed frame is cut off")
        yield data[place : place + length]
        place += length
    rest = data[place:]
    if place == 0 or not (rest.startswith(_DELIMITER) or not rest.strip(b"\0")):
        raise ValueError("its compressed pixel data has no proper fragments")


class CodeStream:
    """Hold one compressed frame, checked and without bytes after its end marker.

    Attributes:
        data: the stream from start to end marker.
        fault: fault of its structure in words, "" where there is none.
        size: rows, columns and components that its header says; None where it is not read.
    """

    def __init__(self, data: bytes, syntax: str) -> None:
        self.data, self.fault = data, ""
        self.size: tuple[int, int, int] | None = None
        self._scans: list[int] = []
        self._lossless = False
        walk: Callable[[], int] | None = None
        if syntax.startswith((*_JPEG, _JPEG_LS)):
            self._marker = _MARKER_LS if syntax.startswith(_JPEG_LS) else _MARKER
            walk = self._walk_jpeg
        elif syntax.startswith(_JPEG_2000):
            walk = self._walk_jpeg_2000
        if walk is None:
            return
        try:
            self.data = data[: walk()]
        except (struct.error, IndexError):
            self.fault = "it is cut off"
        except ValueError as error:
            self.fault = str(error)

    @property
    def with_more_data(self) -> bytes:
        """Stream of a JPEG with further bytes in its last scan: the picture changes only if it was incomplete.

        Empty for other compressions.
        """
        if not self._scans or self.fault:
            return b""
        return self.data[: self._scans[-1]] + _MORE_DATA + self.data[self._scans[-1] :]

    @property
    def is_progressive(self) -> bool:
        """Return whether several scans refine the picture, so that a missing end leaves it coarse, not plain."""
        return len(self._scans) > 1

    def ends_evenly(self, pixels: int) -> bool:
        """Return whether lossless JPEG ends with one code repeated over that many pixels, a bit or more for each."""
        if not self._lossless:
            return False
        tail = self.data[max(self._scans[-1] - pixels // 8, 0) : self._scans[-1] - 2]
        return len(tail) > 64 and any(tail[period:] == tail[:-period] for period in range(1, 33))

    def _walk_jpeg(self) -> int:
        """Return where the stream ends (ITU-T T.81 annex B, T.87 annex C)."""
        data, place = self.data, 2
        while True:
            while data[place] == 0xFF and data[place + 1] == 0xFF:  # fill bytes
                place += 1
            mark, kind = data[place], data[place + 1]
            if mark != 0xFF or kind < 0xC0:
                raise ValueError(f"it has the bytes {data[place : place + 2].hex()} in place of a marker")
            place += 2
            if kind == _END[1]:
                return place
            length = struct.unpack_from(">H", data, place)[0]
            if kind in _FRAME_HEADERS and self.size is None:
                rows, columns, components = struct.unpack_from(">HHB", data, place + 3)
                self.size = rows, columns, components
                self._lossless = kind == _LOSSLESS
            place += length
            if kind == _START_OF_SCAN:
                end = self._marker.search(data, place)
                if end is None:
                    raise ValueError("it is cut off")
                place = end.start()
                self._scans.append(place)

    def _walk_jpeg_2000(self) -> int:
        """Return where the stream ends (ITU-T T.800 annex A)."""
        data, place = self.data, self.data.find(b"\xff\x4f\xff\x51")
        if place < 0:
            raise ValueError("it has no header")
        right, below, left, above = struct.unpack_from(">4I", data, place + 8)
        self.size = below - above, right - left, struct.unpack_from(">H", data, place + 40)[0]
        place += 2
        while data[place : place + 2] != _END:
            kind, length = struct.unpack_from(">HH", data, place)
            if kind >> 8 != 0xFF:
                raise ValueError("it is cut off" if not data[place:].strip(b"\0\xff ") else "it is garbled")
            if kind & 0xFF != _TILE:
                place += 2 + length
                continue
            part = struct.unpack_from(">I", data, place + 6)[0]
            if part == 0:  # up to the end of the stream
                place = data.rfind(_END)
                if place < 0:
                    raise ValueError("it is cut off")
                break
            place += max(part, 12)
        return place + 2
