"""An SFTP server of a folder of this machine: ``python sftp_server.py FOLDER AUTHORIZED_KEYS`` prints its port."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
from collections.abc import AsyncIterator

import asyncssh


class Server(asyncssh.SFTPServer):
    """Lets nobody list what its owner may not: the system itself would let root."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        if not os.stat(self.map_path(path)).st_mode & stat.S_IRUSR:  # noqa: PTH116  # of bytes
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        async for entry in super().scandir(path):
            yield entry


async def serve(folder: str, authorized_keys: str) -> None:
    """Serve for ever."""
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        authorized_client_keys=authorized_keys,
        sftp_factory=lambda channel: Server(channel, chroot=os.fsencode(folder)),
    )
    print(server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
