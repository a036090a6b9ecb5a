"""Where a path that a package names really lies: a tree's folders may be symlinks, as /lib is of usr/lib.

Who takes dpkg's lists as they are makes a real /lib beside it, and a machine that does not boot
(shared with rebase).
"""

from skinnybox.masters.system.source import Source

_MOST_LINKS = 40
"""As the kernel follows them."""
_MOST_FOLDERS = 500_000


class Places:
    """Remembers what each folder is. Never loops, whatever the symlinks say."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._links: dict[str, dict[str, str]] = {}
        self._known: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Of a file; what it is itself is not followed. As it stands where its folder's symlinks lead
        nowhere."""
        folder, slash, name = path.rpartition("/")
        if not slash:
            return path
        if folder not in self._known:
            if len(self._known) >= _MOST_FOLDERS:
                return path
            self._known[folder] = self._resolved(folder)
        real = self._known[folder]
        return f"{real}/{name}" if real else name

    def _resolved(self, folder: str) -> str:
        current, followed = "", 0
        ahead = folder.split("/")[::-1]
        while ahead:
            part = ahead.pop()
            if part in ("", "."):
                continue
            if part == "..":
                current = current.rpartition("/")[0]
                continue
            target = self._links_in(current).get(part)
            if target is None:
                current = f"{current}/{part}" if current else part
                continue
            followed += 1
            if followed > _MOST_LINKS:
                return folder
            current = "" if target.startswith("/") else current
            ahead += target.split("/")[::-1]
        return current

    def _links_in(self, folder: str) -> dict[str, str]:
        if folder not in self._links:
            self._links[folder] = self._source.links(folder)
        return self._links[folder]
