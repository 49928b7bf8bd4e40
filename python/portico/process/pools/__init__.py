"""Pools: several porticos behind one, each with applications of its own.

Each pool is a portico by itself, whose supervisor is a child of the one that the operator has started: by the
same command line and `--pool NAME` (config/pools.py says which settings are its own). It serves on a Unix
socket, and has all that a portico has. The workers of the first one pass requests on to these sockets:
they are the router.

    the supervisor that was started    `pools` keeps as many as the configuration has; `pool` is one of them,
                                       `pool_process` a process of it, `pool_socket` its socket, `directory`
                                       where that is, `carried` what goes on although its file is wrong,
                                       `folder_watch` looks whether files of applications have changed
    its workers                        `router` is what they serve
    the command line of a pool         `entry`
    the supervisor of a pool           `head_line`: what it hears from the first one, and tells it
    between the two                    `line`, and on it `metric_lines`, which `pool_metrics` keeps

A server without pools imports none of it.
"""
