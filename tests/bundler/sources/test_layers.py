"""One file of an image's layers: whiteouts, links, and archives that lie."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest
import zstandard

from bundle.digest import Descriptor, Digest
from bundler.sources import layers

PATH = "opt/nim/etc/manifest.yaml"
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"


class Image:
    """Layers in memory, and which of them were opened."""

    def __init__(self) -> None:
        self.layers: list[Descriptor] = []
        self.data: dict[Digest, bytes] = {}
        self.opened: list[int] = []

    def add(self, *members: tuple[str, bytes | str], media_type: str = GZIP) -> Image:
        """Add a layer: text as content is the target of a symbolic link, a path with / a folder."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, content in members:
                info = tarfile.TarInfo(name.rstrip("/"))
                if name.endswith("/"):
                    info.type = tarfile.DIRTYPE
                elif isinstance(content, str):
                    info.type, info.linkname = tarfile.SYMTYPE, content
                else:
                    info.size = len(content)
                body = content if isinstance(content, bytes) else b""
                archive.addfile(info, io.BytesIO(body))
        return self.raw(stream.getvalue(), media_type)

    def raw(self, tar: bytes, media_type: str = GZIP) -> Image:
        """Add a layer of these bytes, before compression."""
        data = tar
        if media_type.endswith("gzip"):
            data = gzip.compress(tar, 1)
        elif media_type.endswith("zstd"):
            data = zstandard.compress(tar)
        self.layers.append(Descriptor(media_type, Digest.of(data), len(data)))
        self.data[Digest.of(data)] = data
        return self

    def find(self, path: str = PATH) -> bytes | None:
        """Look for a file."""

        def opened(layer: Descriptor):  # type: ignore[no-untyped-def]
            self.opened.append(self.layers.index(layer))
            data = self.data[layer.digest]
            yield from (data[at : at + 700] for at in range(0, len(data), 700))

        return layers.find(self.layers, path, opened)


def test_the_last_layer_that_has_the_file_wins_and_no_more_are_read() -> None:
    image = Image().add((PATH, b"old")).add((PATH, b"new")).add(("etc/x", b"1"))
    assert image.find() == b"new"
    assert image.opened == [2, 1]


@pytest.mark.parametrize(
    "kind", [GZIP, "application/vnd.oci.image.layer.v1.tar", "application/x.tar+zstd"]
)
def test_every_compression_of_layers_is_read(kind: str) -> None:
    image = Image().add(("a", b"x" * 5000), (f"./{PATH}", b"found"), media_type=kind)
    assert image.find() == b"found"


@pytest.mark.parametrize(
    "marker",
    [
        "opt/nim/etc/.wh.manifest.yaml",
        "opt/nim/.wh.etc",
        ".wh.opt",
        "opt/nim/.wh..wh..opq",
        "opt/nim/etc/.wh..wh..opq",
    ],
)
def test_a_whiteout_hides_the_file_of_layers_below(marker: str) -> None:
    image = Image().add((PATH, b"old")).add((marker, b""))
    assert image.find() is None
    assert image.opened == [1]


def test_an_opaque_folder_hides_nothing_of_its_own_layer() -> None:
    image = Image().add((PATH, b"old")).add(("opt/nim/etc/.wh..wh..opq", b""), (PATH, b"new"))
    assert image.find() == b"new"


def test_a_whiteout_of_another_file_hides_nothing() -> None:
    image = Image().add((PATH, b"old")).add(("opt/nim/etc/.wh.other", b""), ("opt/nim/etc/", b""))
    assert image.find() == b"old"


@pytest.mark.parametrize("target", ["real.yaml", "/opt/nim/etc/real.yaml", "../etc/real.yaml"])
def test_a_link_is_followed_inside_the_image(target: str) -> None:
    image = Image().add(("opt/nim/etc/real.yaml", b"real")).add((PATH, target))
    assert image.find() == b"real"


def test_a_link_that_leaves_the_image_finds_nothing() -> None:
    assert Image().add((PATH, "../../../../../../etc/hostname")).find() is None


def test_links_in_a_circle_end() -> None:
    with pytest.raises(ValueError, match="links lead to the file"):
        Image().add((PATH, "manifest.yaml")).find()


def test_a_folder_that_is_a_link_is_not_followed() -> None:
    image = Image().add((PATH, b"old")).add(("opt/nim", "/elsewhere"))
    with pytest.raises(ValueError, match="/opt/nim is no folder"):
        image.find()


def test_what_unpacks_to_too_much_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "UNPACKED_LIMIT", 1 << 20)
    image = Image().add((PATH, b"x")).add(("zeros", bytes(3 << 20)))
    with pytest.raises(ValueError, match="unpack to more than 1048576 bytes"):
        image.find()


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "FILE_LIMIT", 10)
    with pytest.raises(ValueError, match="no plain file, or has more than 10 bytes"):
        Image().add((PATH, b"x" * 11)).find()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_asks_for_memory_is_refused(kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 8 << 30
    tar = info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)
    with pytest.raises(ValueError, match="a header in it has more than"):
        Image().raw(tar).find()


@pytest.mark.parametrize("tar", [b"", b"no tar at all" * 100, bytes(100)])
def test_what_is_no_tar_is_told(tar: bytes) -> None:
    image = Image().raw(tar)
    try:
        assert image.find() is None
    except ValueError as fault:
        assert "is no tar" in str(fault)


def test_a_layer_of_zstd_that_is_damaged_is_told() -> None:
    image = Image().add((PATH, b"x" * 9000), media_type="application/x.tar+zstd")
    digest = image.layers[0].digest
    image.data[digest] = image.data[digest][:20] + b"no frame" + image.data[digest][20:]
    with pytest.raises(ValueError, match="is no tar: ZstdError"):
        image.find()


def test_a_frame_that_wants_too_much_memory_is_refused() -> None:
    frame = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27)
    ).compressobj()
    data = frame.compress(bytes(1 << 20)) + frame.flush()
    image = Image().raw(b"", "application/vnd.oci.image.layer.v1.tar")
    image.layers = [Descriptor("application/x.tar+zstd", image.layers[0].digest, len(data))]
    image.data[image.layers[0].digest] = data
    with pytest.raises(ValueError, match="is no tar: ZstdError"):
        image.find()


def test_a_cut_layer_is_told() -> None:
    image = Image().add(("a", bytes(9000)), (PATH, b"x"))
    digest = image.layers[0].digest
    image.data[digest] = image.data[digest][:40]
    with pytest.raises(ValueError, match="is no tar"):
        image.find()


def test_a_small_layer_is_read_to_its_end_so_that_its_digest_counts() -> None:
    image = Image().add((PATH, b"first"), ("later", bytes(100_000)))
    seen = []

    def opened(layer: Descriptor):  # type: ignore[no-untyped-def]
        yield image.data[layer.digest][:200]
        yield image.data[layer.digest][200:]
        seen.append("end")

    assert layers.find(image.layers, PATH, opened) == b"first"
    assert seen == ["end"]
