"""The command `skinnybox`. What a shell asks for at every key is answered before the rest is imported."""

import sys


def main() -> int:
    words = sys.argv[1:]
    if words == ["--version"]:
        from skinnybox import __version__

        print(f"skinnybox {__version__}")
        return 0
    if words[:1] == ["__complete"]:
        from skinnybox.cli.complete import candidates

        print("\n".join(candidates(words[1:])))
        return 0
    from skinnybox.cli.main import run_command

    return run_command(words)


if __name__ == "__main__":
    sys.exit(main())
