"""Files in batches: what is read between two commits to archive and catalogue, which bounds memory and what a crash repeats."""

from collections.abc import Iterator, Sequence

from cryptoliq_assets.raw.catalogue import ReceivedFile

FILES_A_BATCH = 500
BYTES_A_BATCH = 64 * 2**20


def batches(
    files: Sequence[ReceivedFile], *, most_files: int = FILES_A_BATCH, most_bytes: int = BYTES_A_BATCH
) -> Iterator[list[ReceivedFile]]:
    """The files in their order, so many and so many bytes at a time; one that is larger comes alone."""
    batch: list[ReceivedFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) == most_files or size + file.size > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
