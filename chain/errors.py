"""The errors a user can meet. Each message says what is wrong, where, and what would mend it."""


class UnwindError(Exception):
    """Root of every error that bad input, a bad node or an unsupported mechanism can cause."""


class InputError(UnwindError):
    """A file, an option or a scenario is not what it should be."""


class NodeError(UnwindError):
    """A node is unreachable, refuses, or contradicts itself."""


class ReorgError(NodeError):
    """The chain changed under a read that was pinned to one block."""


class ClusterError(UnwindError):
    """A cluster is unreachable, has lost its workers, or runs other software than this machine."""


class UnsupportedError(UnwindError):
    """A protocol, version, token or mechanism that is not modelled; never guessed at."""
